"""Limits connections, in all and from one address, and checks each of them every second.

A connection of HTTP/1.1 serves one request after the other, so these are also the limits of
requests in flight. One sweep replaces a timer for each request.
Next: web/app.py
"""

import ipaddress
import resource
from collections import Counter
from typing import Protocol

import structlog

from storelog.errors import StorelogError, Unavailable

# For files, connections to PostgreSQL and MongoDB, and connections that are being rejected.
SPARE_DESCRIPTORS = 200
# Connections that have had their last response, whose rest is still read; they are counted apart.
MAX_LINGERING = 500
WANTED_DESCRIPTORS = 65_536
_log = structlog.get_logger()
ClientAddress = tuple[str, int] | None


class Connection(Protocol):
    """What the sweep checks."""

    def look(self, now: float) -> None:
        """Close it if it holds too much for too long."""

    def cut_off(self) -> None:
        """Close it at once."""


class Connections:
    """The connections of one server."""

    def __init__(self, max_in_all: int, max_per_client: int) -> None:
        room = max(_descriptors() - SPARE_DESCRIPTORS, 2)
        self._max_lingering = min(MAX_LINGERING, room // 4 + 1)
        self._max_in_all = min(max_in_all, room - self._max_lingering)
        self._max_per_client = max_per_client
        self._open: dict[Connection, bool] = {}
        self._lingering: dict[Connection, bool] = {}
        self._per_client: Counter[str] = Counter()

    def enter(self, connection: Connection, address: ClientAddress) -> StorelogError | None:
        """Count a connection in; return the error if it is one too many."""
        self._open[connection] = True
        client = client_of(address)
        self._per_client[client] += 1
        if len(self._open) > self._max_in_all:
            return Unavailable("There are too many connections.", slug="overloaded")
        if self._per_client[client] > self._max_per_client:
            return Unavailable("There are too many connections from you.", slug="overloaded")
        return None

    def leave(self, connection: Connection, address: ClientAddress) -> None:
        """Count a connection out."""
        self._lingering.pop(connection, None)
        if self._open.pop(connection, False):
            client = client_of(address)
            self._per_client[client] -= 1
            if not self._per_client[client]:
                del self._per_client[client]

    def linger(self, connection: Connection, address: ClientAddress) -> None:
        """Count out a connection of which only the rest is read, and go on checking it.

        If too many linger, the one that has lingered longest is cut off.
        """
        self.leave(connection, address)
        self._lingering[connection] = True
        if len(self._lingering) > self._max_lingering:
            oldest = next(iter(self._lingering))
            del self._lingering[oldest]
            oldest.cut_off()

    def sweep(self, now: float) -> None:
        """Check every connection; `now` is the loop's time in seconds."""
        for connection in [*self._open, *self._lingering]:
            try:
                connection.look(now)
            except Exception:  # noqa: BLE001  one that fails must not end the sweep of all others
                _log.exception("a connection could not be looked at")
                connection.cut_off()


def client_of(address: ClientAddress) -> str:
    """Return what counts as one client: an IPv4 address, or an IPv6 network of 64 bits."""
    if address is None or ":" not in address[0]:
        return "" if address is None else address[0]
    # One client usually has a whole /64, so that counting single addresses would not limit it.
    host = address[0].partition("%")[0]
    return str(ipaddress.ip_network((host, 64), strict=False))


def _descriptors() -> int:
    """Allow this process as many descriptors as it may have; return how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, WANTED_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return WANTED_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
