"""The log to Kafka: every event at least once, in order, by the one active relay."""
