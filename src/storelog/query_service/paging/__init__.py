"""Lists, a page at a time, at a cost that does not grow with the collection."""
