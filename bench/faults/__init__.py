"""Breaks the distributed product on purpose, under load and by chance from a seed, and judges what is left."""
