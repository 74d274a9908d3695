"""Faults of processes: kills, pauses longer than every lease, and a rolling restart.

Next: torture/faults/servers.py
"""

import signal
import time

from storelog.torture.faults.trial import Trial
from storelog.torture.rig import PROCESSES, SERVERS, TWINS

KILLS = 20
PACES = (0.8, 2.5)
# Longer than PostgreSQL's idle sessions (5 s) and Kafka's consumer sessions (6 s) last.
PAUSE_SECONDS = 12.0
STOP_SECONDS = 10.0


def kill(trial: Trial) -> None:
    """Kill one process after the other, sometimes two at once, at any step.

    Each kind is killed equally often, whatever the number of its twins. The pace is either so fast
    that processes hardly start, or leaves them time to work in between.
    """
    slowest = trial.dice.choice(PACES)
    for _ in range(KILLS):
        kinds = trial.dice.sample(sorted(TWINS), trial.dice.choice((1, 1, 2)))
        trial.rig.kill(*(f"{kind}-{trial.dice.randint(1, TWINS[kind])}" for kind in kinds))
        trial.stop.wait(trial.dice.uniform(0.05, slowest))


def kill_ours(trial: Trial) -> None:
    """Kill all four kinds of processes at once; the servers keep running."""
    trial.rig.kill(*PROCESSES)
    trial.rig.wait_ready(PROCESSES)
    trial.wait(0.2, 1.5)


def kill_all(trial: Trial) -> None:
    """Kill everything at once, the servers too."""
    trial.rig.kill(*PROCESSES, *SERVERS)
    trial.rig.wait_ready((*SERVERS, *PROCESSES))
    trial.wait(0.5, 2)


def pause(trial: Trial) -> None:
    """Pause one of each kind of process that has a twin, which takes over; then resume them."""
    names = [
        trial.dice.choice(("relay-1", "relay-2")),
        trial.dice.choice(("projector-1", "projector-2")),
        trial.dice.choice(("command-service-1", "command-service-2")),
    ]
    for name in names:
        trial.wait(0.05, 0.4)
        trial.rig.send(name, signal.SIGSTOP)
    trial.stop.wait(PAUSE_SECONDS)
    # In another order: what a paused process knew may be outdated by any of the others.
    trial.dice.shuffle(names)
    for name in names:
        trial.rig.send(name, signal.SIGCONT)
        trial.wait(0.05, 0.4)


def restart(trial: Trial) -> None:
    """Restart each process in turn: after SIGTERM it ends within 10 s, and no client notices."""
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
