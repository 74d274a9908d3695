"""One check's finding, and all of them in order.

Nothing here changes anything, and every wait has a deadline. Next: doctor/machine.py
"""

from dataclasses import dataclass

OK, WARNING, PROBLEM = "ok", "warning", "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, what was found, and what to do about it ("" when it is ok).

    `version`: of a server that said which one it is.
    """

    name: str
    state: str
    found: str
    advice: str = ""
    version: str = ""


def ok(name: str, found: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(name, OK, found)


def warning(name: str, found: str, advice: str) -> Finding:
    """Return a finding that works, but not for long or not for everything."""
    return Finding(name, WARNING, found, advice)


def problem(name: str, found: str, advice: str) -> Finding:
    """Return a finding with which Storelog does not work."""
    return Finding(name, PROBLEM, found, advice)
