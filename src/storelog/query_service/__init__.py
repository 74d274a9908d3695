"""The Query Service: it serves reads from MongoDB. It is stateless; any number may run."""
