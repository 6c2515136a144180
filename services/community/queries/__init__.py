"""Reads and bulk writes that carry a rule.

Locks are taken in one order: members, groups, names of posts, posts, reactions, referrals; each in the order of their
keys. Members are kept at first, and those whose joining moves are locked at last.
"""
