"""The shop: its entities, its events, and its rules; each fact about them is declared here once.

`decide(command, state) -> events or a rejection` and `evolve(state, event) -> state` are pure:
times and ids are passed in, and nothing here does I/O.
Next: shop/kinds.py
"""
