"""The read models: what each event does to the documents of one collection, pure.

A fold takes one change and returns writes; it does no I/O, so `storelog verify` uses the same one.
"""
