"""Says how every party stands: stage, tier and value, from the facts alone, and when that changes by itself."""
