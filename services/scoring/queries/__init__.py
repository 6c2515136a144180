"""Reads and bulk writes that carry a rule."""
