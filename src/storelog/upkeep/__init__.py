"""The operator's commands: dead letters, sending again, rebuilding, adding lanes, recovery."""
