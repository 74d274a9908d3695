"""Sums over any range of time, as of any position."""
