"""Lists in pages, at a cost that does not grow with the collection."""
