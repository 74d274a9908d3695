"""Answers from MongoDB; stateless, as many as wanted."""
