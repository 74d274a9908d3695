"""Faults of the leader: the Command Service that decides for both is killed or paused.

Next: torture/faults/trial.py
"""

import http.client
import json
import signal
import time
from urllib.parse import urlsplit

from storelog.shop.customer import NewCustomer
from storelog.shop.json_values import encode_json
from storelog.torture.faults.trial import SLACK_SECONDS, Trial
from storelog.torture.ledger import SentRequest
from storelog.torture.load import send

NAMES = ("command-service-1", "command-service-2")
LEADER_SECONDS = 15.0
RESUMED_WITHIN_SECONDS = 2.0
# Up to longer than the lease, so that the other one leads when the paused leader wakes up.
PAUSE_SECONDS = 6.0
TIMES = 3


def kill_leader(trial: Trial) -> None:
    """Kill the leader while both are busy: the other one decides within two seconds."""
    for _ in range(TIMES):
        leader = _leader(trial)
        with trial.rig.held_down(leader):
            trial.rig.kill(leader)
            _expect_writes_resume(trial, leader, "the leader was killed")
            trial.wait(0.2, 4)
        trial.rig.wait_ready([leader])


def pause_leader(trial: Trial) -> None:
    """Pause the leader: the other one decides within two seconds; then resume it."""
    for _ in range(TIMES):
        leader = _leader(trial)
        trial.rig.send(leader, signal.SIGSTOP)
        _expect_writes_resume(trial, leader, "the leader was paused")
        trial.stop.wait(trial.dice.uniform(0.1, PAUSE_SECONDS))
        trial.rig.send(leader, signal.SIGCONT)
        trial.wait(0.2, 2)


def _leader(trial: Trial) -> str:
    """Return the service that leads; note a breach and return any where none leads in time."""
    trial.rig.wait_ready(("postgresql", *NAMES))
    give_up_at = time.monotonic() + LEADER_SECONDS
    while time.monotonic() < give_up_at:
        for name, url in zip(NAMES, trial.rig.command_urls, strict=True):
            if _role(url) == "leader":
                return name
        trial.stop.wait(0.1)
    trial.report.breach(f"no Command Service leads within {LEADER_SECONDS:.0f} s")
    return trial.dice.choice(NAMES)


def _role(url: str) -> str:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return str(json.loads(connection.getresponse().read()).get("role", ""))
    except (OSError, http.client.HTTPException, ValueError):
        return ""
    finally:
        connection.close()


def _expect_writes_resume(trial: Trial, without: str, after: str) -> None:
    other = trial.rig.command_urls[1 - NAMES.index(without)]
    name = f"{trial.prober.seed}-{without}-{len(trial.ledger.requests)}"
    body = json.loads(encode_json(NewCustomer("After the leader", "after@example.invalid")))
    request, began = SentRequest(name, "POST", "/customers", body, name), time.monotonic()
    # With one key: a try whose response was lost must not create a second customer.
    while request.response is None and time.monotonic() < began + LEADER_SECONDS:
        send(other, request, trial.ledger)
    took = time.monotonic() - began
    trial.report.slowest_resumption = max(trial.report.slowest_resumption, round(took, 2))
    if took > RESUMED_WITHIN_SECONDS + SLACK_SECONDS:
        trial.report.breach(f"{after}: a command took {took:.1f} s, {request.troubles}")
