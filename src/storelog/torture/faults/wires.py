"""Faults of wires: delays, cuts, silence, one byte at a time, a lost response to a commit.

Next: torture/disks.py
"""

import re

from storelog.torture.faults.trial import Trial
from storelog.torture.wire import Wire

# Found only in messages that write the log: names of events, or the commit itself.
WRITES = re.compile(rb"CustomerCreated|CustomerUpdated|Product(Created|Updated|Sold)|Order|COMMIT")
LOST_RESPONSES = 5


def delay(trial: Trial) -> None:
    """Delay a wire by up to half a second in each direction."""
    wire = _any_wire(trial)
    wire.delay(trial.dice.choice((0.02, 0.1, 0.5)))
    trial.wait(4, 8)
    wire.repair()


def cut(trial: Trial) -> None:
    """Cut a wire, a few times for a moment, then for some seconds."""
    wire = _any_wire(trial)
    for _ in range(4):
        wire.sever()
        trial.wait(0.1, 0.8)
    wire.cut()
    trial.wait(2, 6)
    wire.repair()


def half_open(trial: Trial) -> None:
    """Silence a wire: neither side hears from the other again, and neither gets an error."""
    wire = _any_wire(trial)
    wire.deafen()
    trial.wait(4, 9)
    wire.repair()


def dribble(trial: Trial) -> None:
    """Let a wire carry one byte at a time."""
    wire = _any_wire(trial)
    wire.dribble()
    trial.wait(4, 8)
    wire.repair()


def lose_commit(trial: Trial) -> None:
    """Lose the response to a commit several times, and sometimes the commit itself."""
    wire = trial.rig.wires["command-service-postgresql"]
    for _ in range(LOST_RESPONSES):
        wire.lose(trial.dice.choice(("response", "response", "request")), WRITES)
        wire.happened.wait(10)
        trial.wait(0.1, 1)
    wire.repair()


def _any_wire(trial: Trial) -> Wire:
    name = trial.dice.choice(sorted(trial.rig.wires))
    return trial.rig.wires[name]
