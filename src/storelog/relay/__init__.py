"""Publishes the log to Kafka: each event at least once, in order, by the one active relay."""
