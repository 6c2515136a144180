"""Figures, each beside a raw baseline of the same run: what the product costs over doing the least by hand."""
