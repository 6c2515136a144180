"""How the product is run: its parts, its processes, its command."""

VERSION = "0.1.0"
"""Of the product, as `pyproject.toml` has it, which an image does not hold."""
