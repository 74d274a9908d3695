"""What must hold, looked at from outside: the log, Kafka and MongoDB against the kit's own ledger.

Next: torture/checks/answers.py
"""
