"""The operator's verbs: dead letters, sending again, rebuilding, changing the number of lanes."""
