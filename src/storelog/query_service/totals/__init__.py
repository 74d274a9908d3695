"""Sums, as of any position and any range of time."""
