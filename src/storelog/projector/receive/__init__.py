"""From Kafka to records in log order, lane by lane."""
