"""What the gateway reads: its keys, and the services behind it."""
