"""The folds: they compute in memory what each event changes in the read model."""
