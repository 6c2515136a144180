"""HTTP in: what the gateway answers itself, and what it passes on."""
