"""Embedded servers and the supervisor behind `storelog up`."""
