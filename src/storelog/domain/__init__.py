"""The shop's rules, pure: `decide(command, state) -> events or refusal`, `evolve(state, event)`.

Times and ids are passed in; nothing here does I/O or imports a third-party package.
"""
