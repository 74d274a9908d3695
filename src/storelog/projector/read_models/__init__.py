"""The read models: what each event does to the documents of one collection, pure.

A fold takes one change and returns writes; it does no I/O. `storelog verify` has a fold of its own,
which is to say the same: verify/fold.py.
"""
