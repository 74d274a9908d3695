"""The finding of one check.

A check changes nothing, and every wait has a deadline. Next: doctor/machine.py
"""

from dataclasses import dataclass

OK, WARNING, PROBLEM = "ok", "warning", "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was checked, its state, what was found, and what to do about it ("" if it is ok).

    `version`: the server's, if it is known.
    """

    name: str
    state: str
    found: str
    advice: str = ""
    version: str = ""


def ok(name: str, found: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding(name, OK, found)


def warning(name: str, found: str, advice: str) -> Finding:
    """Return a finding of something that works, but not for long or not for everything."""
    return Finding(name, WARNING, found, advice)


def problem(name: str, found: str, advice: str) -> Finding:
    """Return a finding with which Storelog does not work."""
    return Finding(name, PROBLEM, found, advice)
