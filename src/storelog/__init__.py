"""Storelog: an event-sourced commerce backend over PostgreSQL, Kafka and MongoDB."""

__version__ = "0.1.0"
