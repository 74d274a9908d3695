"""Measures Storelog on one machine, each figure beside its own ceiling in the same run."""
