"""One Command Service decides for all, where there are several: the leader, by a lease.

The others take requests, check them, and hand their commands to it. That is an optimisation only:
whoever decides, a batch lands only if the log's head has not moved (store.append). Two leaders are
slow, and never wrong. Decision 58.
Next: command_service/leading/election.py
"""
