"""The console: pages for people, put together from what the public API answers them."""
