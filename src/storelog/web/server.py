"""Runs an application under uvicorn until SIGTERM; beyond loopback a key is needed.

`web/protocol.py` limits what a connection may hold, `web/body.py` what a body may.
Next: web/protocol.py
"""

import asyncio
import gc
import signal
import socket
from types import FrameType
from typing import Any

import uvicorn

from storelog import tracing
from storelog.config import Settings
from storelog.errors import BadSetting, CannotRun
from storelog.proxies import is_loopback
from storelog.web.connections import Connections
from storelog.web.hosts import check_allowed_hosts
from storelog.web.logs import set_up_logs
from storelog.web.protocol import LimitedProtocol
from storelog.web.turns import Turns

STOP_WITHIN_SECONDS = 10
# libuv accepts one connection per listener in each turn of the loop, and turns of an overloaded
# service are long: so there are several listeners on the same port and its one queue.
LISTENERS = 16
# Connections that wait in that queue; the system may allow fewer. A client that meets a full queue
# tries again after 1, 3, 7, 15 seconds.
BACKLOG = 4_096


class _Server(uvicorn.Server):
    """Ends by itself on SIGTERM and SIGINT: the process goes on to its own exit code."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self._connections = connections

    async def on_tick(self, counter: int) -> bool:
        """Check every connection once a second; uvicorn ticks ten times as often."""
        if counter % 10 == 0:
            self._connections.sweep(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shut down; connections keep their limits until the end."""
        sweeping = asyncio.create_task(self._sweep())
        try:
            await super().shutdown(sockets)
        finally:
            sweeping.cancel()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._connections.sweep(asyncio.get_running_loop().time())

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def check_host(settings: Settings, host: str) -> None:
    """Raise BadSetting where anyone on the network, or a web page, could do everything."""
    check_allowed_hosts(settings)
    if not (
        is_loopback(host) or settings.api_keys or settings.oidc_issuer or settings.allow_anonymous
    ):
        raise BadSetting(
            "--host",
            host,
            "a loopback address, unless STORELOG_API_KEYS has a key, STORELOG_OIDC_ISSUER is set,"
            " or STORELOG_ALLOW_ANONYMOUS is true",
        )


def serve(app: Any, settings: Settings, host: str, port: int) -> None:
    """Serve `app` until SIGTERM or SIGINT. Raises BadSetting; CannotRun when the port is taken."""
    set_up_logs(settings)
    tracing.set_up(settings, app.name)
    connections = Connections(settings.max_connections, settings.max_connections_per_client)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="auto",
        http=type("Protocol", (LimitedProtocol,), {"limits": connections, "turns": Turns()}),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=True,
        headers=[("X-Content-Type-Options", "nosniff")],
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=25,
        timeout_graceful_shutdown=STOP_WITHIN_SECONDS,
    )
    listeners = open_listeners(host, port)
    spare_the_collector()
    try:
        _Server(config, connections).run(sockets=listeners)
    finally:
        for listener in listeners:
            listener.close()
        tracing.shut_down()


def spare_the_collector() -> None:
    """Exclude what is loaded by now from garbage collection, and run the collector less often.

    A full collection of a process that has just loaded its code takes 70 ms, in which nothing else
    runs; a request leaves hardly any cycles behind.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def open_listeners(host: str, port: int) -> list[socket.socket]:
    """Return sockets that take the port's connections. Raises CannotRun when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CannotRun(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return [listener, *(listener.dup() for _ in range(LISTENERS - 1))]
