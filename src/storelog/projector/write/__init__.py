"""Writes one batch to MongoDB: documents, sums and histories, then the checkpoints."""
