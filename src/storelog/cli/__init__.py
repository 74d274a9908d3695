"""The `storelog` command: one command a file."""
