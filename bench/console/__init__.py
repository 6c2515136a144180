"""The console as a browser sees it: every page of a product, what it weighs, when it is painted, what it looks like."""
