"""The tables of the leads service, and the shapes of its API that differ from them."""
