"""Descriptors and memory stay flat however long slow clients and rubbish go on (`make siege`).

STORELOG_SIEGE_MINUTES says how long, STORELOG_SIEGE_SEED from which seed the rubbish comes.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from functools import partial

import psutil
import pytest

from hostile.attacks import Attack, attacks, largest
from hostile.rubbish import bombard, latency
from hostile.slow import besiege
from support.embedded import EmbeddedServers, new_settings
from support.system import System, wait_for

pytestmark = [pytest.mark.siege, pytest.mark.alone]

MINUTES = float(os.environ.get("STORELOG_SIEGE_MINUTES", "10"))
SEED = int(os.environ.get("STORELOG_SIEGE_SEED", "1"))
CONNECTIONS = 1_000
RUBBISH_A_ROUND = 2_000
SERVICES = ("command-service", "query-service")


@pytest.fixture
def besieged(servers: EmbeddedServers) -> Iterator[System]:
    limit = {"STORELOG_MAX_CONNECTIONS_PER_CLIENT": "1100"}
    with System(new_settings(servers), SERVICES, environment=limit) as system:
        yield system


def test_descriptors_and_memory_stay_flat_through_a_siege(besieged: System) -> None:
    urls = {name: besieged.url(name) for name in SERVICES}
    processes = {name: psutil.Process(besieged.pid(name)) for name in SERVICES}
    source = {name: attacks(SEED) for name in SERVICES}
    for name in SERVICES:
        bombard(urls[name], iter(largest()), len(largest()), 60)
        _round(urls[name], source[name])
    before = {name: _look(process) for name, process in processes.items()}
    end_at = time.monotonic() + 60 * MINUTES
    rounds = 0
    while time.monotonic() < end_at:
        for name in SERVICES:
            assert not _round(urls[name], source[name])
        rounds += 1
        print(rounds, {name: _look(process) for name, process in processes.items()}, flush=True)
    for name, process in processes.items():
        fds, memory = before[name]
        wait_for(partial(_has_given_back, process, fds), "descriptors to be given back")
        assert process.memory_info().rss < memory * 1.2
        assert "Traceback" not in besieged.log_path(name).read_text("utf-8")


def _has_given_back(process: psutil.Process, descriptors: int) -> bool:
    return bool(process.num_fds() <= descriptors + 10)


def _look(process: psutil.Process) -> tuple[int, int]:
    return process.num_fds(), process.memory_info().rss


def _round(url: str, source: Iterator[Attack]) -> list[str]:
    """Besiege the service once and send it rubbish; return what was wrong."""

    async def good() -> float:
        return await asyncio.to_thread(latency, url, "/health/live", 1)

    siege = asyncio.run(besiege(url, CONNECTIONS, good, 60))
    late = [f"{kind}: {s:.0f} s" for kind, s in siege.closed_after.items() if s > 30]
    return late + bombard(url, source, RUBBISH_A_ROUND, 120).wrong
