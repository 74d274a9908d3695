"""The embedded servers and the supervisor of `storelog up`."""
