"""One batch into MongoDB: documents, sums, histories, and the checkpoints that say so."""
