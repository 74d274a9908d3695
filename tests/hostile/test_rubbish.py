"""Malformed requests from a seed, on both services: none crashes, swells, floods or slows them.

STORELOG_HOSTILE_REQUESTS says how many (`make hostile`: 100,000), STORELOG_HOSTILE_SEED which.
"""

import os
from collections.abc import Iterator

import psutil
import pytest

from hostile.attacks import attacks, largest
from hostile.rubbish import bombard, latency
from support.embedded import EmbeddedServers, new_settings
from support.system import ANN, System

pytestmark = pytest.mark.alone

REQUESTS = int(os.environ.get("STORELOG_HOSTILE_REQUESTS", "3000"))
SEED = int(os.environ.get("STORELOG_HOSTILE_SEED", "1"))
WARM_UP = 1_000
SECONDS = max(60.0, REQUESTS / 50)
LOG_BYTES_EACH = 200
SERVICES = ["command-service", "query-service"]


@pytest.fixture(scope="module")
def target(servers: EmbeddedServers) -> Iterator[System]:
    with System(new_settings(servers), tuple(SERVICES)) as system:
        yield system


@pytest.mark.parametrize("name", SERVICES)
def test_rubbish_on_the_wire_changes_nothing_for_others(target: System, name: str) -> None:
    client = target.commands if name == "command-service" else target.queries
    process = psutil.Process(target.pid(name))
    target.new_customer()
    source = attacks(SEED)
    # What is allowed to be large has its room by now; the rest must fit into it.
    bombard(client.url, iter(largest()), len(largest()), SECONDS)
    bombard(client.url, source, WARM_UP, SECONDS)
    memory, fds = process.memory_info().rss, process.num_fds()
    log = target.log_path(name).stat().st_size
    before = latency(client.url, "/health/live", 200)

    outcome = bombard(client.url, source, REQUESTS, SECONDS)

    after = latency(client.url, "/health/live", 200)
    logged = target.log_path(name).stat().st_size - log
    grown = process.memory_info().rss / memory - 1
    print(
        f"{name}: seed {SEED}, {outcome.sent} requests, {dict(sorted(outcome.statuses.items()))},"
        f" memory {grown:+.1%}, log {logged / outcome.sent:.1f} bytes each,"
        f" {before * 1000:.2f} ms before, {after * 1000:.2f} ms after"
    )
    assert not outcome.wrong, "\n".join([f"{len(outcome.wrong)} wrong", *outcome.wrong[:5]])
    said = target.log_path(name).read_text("utf-8", "replace")
    # Bodies named it for deletion.
    assert target.commands.put("/customers/1", ANN).status == 200
    assert outcome.statuses[400] > 0
    assert outcome.statuses[404] > 0
    assert outcome.statuses[503] <= outcome.sent / 200
    assert grown < 0.2
    assert logged <= LOG_BYTES_EACH * outcome.sent, said[-5_000:]
    assert after < 3 * before + 0.01
    assert process.num_fds() <= fds + 60
    assert "Traceback" not in said
