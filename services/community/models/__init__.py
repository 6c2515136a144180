"""The tables of the community service, and the shapes of its API that differ from them."""
