"""Kafka to MongoDB: each lane is merged back into log order, and each event is applied once."""
