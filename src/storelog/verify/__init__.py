"""Proves that the log, PostgreSQL's state tables and MongoDB's read model agree."""
