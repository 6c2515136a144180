"""The tables of the customers service, and the shapes of its API that differ from them."""
