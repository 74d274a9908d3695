"""A closed connection leaves nothing behind, in any state and whichever side closed it.

STORELOG_CLOSED_CONNECTIONS says how many of each kind (`make closed`: 100,000), and
STORELOG_CLOSED_KINDS of which kinds (`make closed KINDS='rejected;malformed'`: all by default).
"""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import psutil
import pytest

from storelog.local.servers import PROCESSES
from support.crowd import KINDS, STREAMING, be_rejected, come_and_go
from support.embedded import EmbeddedServers, new_settings
from support.system import System, wait_for

CONNECTIONS = int(os.environ.get("STORELOG_CLOSED_CONNECTIONS", "1000"))
ONLY = {kind.strip() for kind in os.environ.get("STORELOG_CLOSED_KINDS", "").split(";")} - {""}
BEFORE = min(5_000, CONNECTIONS // 4)
PER_CLIENT = 60
MAX_GROWTH = 0.1


@pytest.fixture(scope="module")
def visited(servers: EmbeddedServers) -> Iterator[System]:
    limit = {"STORELOG_MAX_CONNECTIONS_PER_CLIENT": str(PER_CLIENT)}
    with System(new_settings(servers), environment=limit) as system:
        yield system


def _resident(system: System, name: str, descriptors: int) -> int:
    process = psutil.Process(system.pid(name))
    wait_for(lambda: process.num_fds() <= descriptors + 10, "connections to be closed")
    return int(process.memory_info().rss)


@pytest.mark.parametrize("name", PROCESSES)
def test_closed_connections_of_every_kind_leave_no_memory_taken(visited: System, name: str) -> None:
    place = urlsplit(visited.url(name))
    address = (str(place.hostname), int(place.port or 0))
    there = KINDS | (STREAMING if name == "query-service" else {})
    kinds = {kind: there[kind] for kind in there if not ONLY or kind in ONLY}
    descriptors = psutil.Process(visited.pid(name)).num_fds()

    def visit(kind: str, times: int) -> None:
        if kind == "rejected":
            be_rejected(address, PER_CLIENT, times)
        else:
            come_and_go(address, kinds[kind], times)

    for kind in kinds:
        visit(kind, BEFORE)
    before = _resident(visited, name, descriptors)
    grown = {}
    for kind in kinds:
        visit(kind, CONNECTIONS)
        grown[kind] = _resident(visited, name, descriptors) / before - 1
        print(f"{name}: {CONNECTIONS} {kind}: {before / 1e6:.1f} MB {grown[kind]:+.1%}", flush=True)
    assert max(grown.values()) < MAX_GROWTH, grown
