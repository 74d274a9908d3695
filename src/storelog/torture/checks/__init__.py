"""The checks: they compare the log, Kafka and MongoDB with the kit's own ledger, from outside.

Next: torture/checks/responses.py
"""
