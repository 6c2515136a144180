"""Reads and bulk writes that carry a rule.

Locks are taken in one order: the rubric in force, leads in the order of their ids, what was activated.
"""
