"""Documents as they were at an earlier position."""
