"""Kafka to MongoDB: each lane merged back into log order and applied once."""
