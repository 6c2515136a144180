"""How the product is run: its parts, its processes, its command."""
