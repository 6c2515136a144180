"""Reads and bulk writes that carry a rule.

Locks are taken in one order: parties, identities, purchases, returns, interactions, problems; each in the order of
their keys.
"""
