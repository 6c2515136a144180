"""The tables of the gateway, what a caller sends, and what is shown."""
