"""Frozen values: what is true about a key, as far as byokd knows, and since when.

These types import nothing but errors and do nothing but hold. "Never looked", "denied" and "absent" are values of their
own, not None, so that a rule cannot mistake ignorance for an answer. All times are aware UTC, cut to whole seconds.
"""
