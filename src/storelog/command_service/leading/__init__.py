"""Of several Command Services one decides all commands: the leader, which holds a lease.

The others take requests, check them, and hand their commands to it. That is only an optimisation: a
batch of any service is committed only if the log's head has not moved (store.append). Two leaders
would be slow, but never wrong. Decision 58.
Next: command_service/leading/election.py
"""
