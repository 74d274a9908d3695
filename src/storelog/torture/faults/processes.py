"""Faults of processes: killed, paused for longer than every lease, restarted one after the other.

Next: torture/faults/servers.py
"""

import signal
import time

from storelog.torture.faults.trial import Trial
from storelog.torture.rig import PROCESSES, SERVERS, TWINS

KILLS = 20
PACES = (0.8, 2.5)
# Longer than idle sessions (5 s) and consumer sessions (6 s) last.
PAUSE_SECONDS = 12.0
STOP_SECONDS = 10.0


def kill(trial: Trial) -> None:
    """kill -9 of one process after the other, and of two at once, at any step.

    Each kind as often as the others, whatever the number of its twins. Sometimes so fast that they
    hardly come back, sometimes with time to get to work in between.
    """
    slowest = trial.dice.choice(PACES)
    for _ in range(KILLS):
        kinds = trial.dice.sample(sorted(TWINS), trial.dice.choice((1, 1, 2)))
        trial.rig.kill(*(f"{kind}-{trial.dice.randint(1, TWINS[kind])}" for kind in kinds))
        trial.stop.wait(trial.dice.uniform(0.05, slowest))


def kill_ours(trial: Trial) -> None:
    """kill -9 of all our processes at once; the servers go on."""
    trial.rig.kill(*PROCESSES)
    trial.rig.wait_ready(PROCESSES)
    trial.wait(0.2, 1.5)


def kill_all(trial: Trial) -> None:
    """kill -9 of everything at once, servers too."""
    trial.rig.kill(*PROCESSES, *SERVERS)
    trial.rig.wait_ready((*SERVERS, *PROCESSES))
    trial.wait(0.5, 2)


def pause(trial: Trial) -> None:
    """SIGSTOP of one process of each kind but the last, while twins take over; then SIGCONT."""
    names = [
        trial.dice.choice(("relay-1", "relay-2")),
        trial.dice.choice(("projector-1", "projector-2")),
        trial.dice.choice(("command-service-1", "command-service-2")),
    ]
    for name in names:
        trial.wait(0.05, 0.4)
        trial.rig.send(name, signal.SIGSTOP)
    trial.stop.wait(PAUSE_SECONDS)
    trial.dice.shuffle(names)
    for name in names:
        trial.rig.send(name, signal.SIGCONT)
        trial.wait(0.05, 0.4)


def restart(trial: Trial) -> None:
    """A rolling restart: SIGTERM for each process in turn, which ends by itself within 10 s."""
    with trial.expect_no_error_seen("a rolling restart"):
        for name in PROCESSES:
            _restart(trial, name)


def _restart(trial: Trial, name: str) -> None:
    with trial.rig.held_down(name):
        began = time.monotonic()
        trial.rig.send(name, signal.SIGTERM)
        code = trial.rig.wait_ended(name, 60)
        took = time.monotonic() - began
    if code not in (0, None):
        trial.report.breach(f"after SIGTERM {name} ended with {code}")
    if took > STOP_SECONDS + 1:
        trial.report.breach(f"after SIGTERM {name} took {took:.1f} s to end")
    trial.rig.wait_ready([name])
