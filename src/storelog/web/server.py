"""Runs an application under uvicorn until SIGTERM, and closes connections that send too slowly.

uvicorn has no read time-out: a connection whose request head has not arrived in time is closed
here, and `web/app.py` gives the body its own deadline. Beyond loopback a key is needed.
Next: web/app.py
"""

import asyncio
import ipaddress
import signal
import socket
from http import HTTPStatus
from types import FrameType
from typing import Any
from uuid import uuid4

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from storelog.config import Settings
from storelog.errors import BadSetting, CannotRun, Malformed, StorelogError, Unavailable
from storelog.web.logs import set_up_logs
from storelog.web.problems import render

HEAD_DEADLINE_SECONDS = 20.0
MAX_CONNECTIONS = 2_000
STOP_WITHIN_SECONDS = 10


class _ImpatientProtocol(HttpToolsProtocol):
    """httptools with a deadline from a connection's first byte to the end of a request's head.

    What never becomes a request is answered with a problem document all the same.
    """

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(Unavailable("There are too many connections.", slug="overloaded"))
        else:
            self._wait_for_head()

    def send_400_response(self, msg: str) -> None:
        self._refuse(Malformed(msg))

    def _refuse(self, error: StorelogError) -> None:
        answer = render(error, "", uuid4().hex)
        headers = [
            *answer.headers,
            ("Content-Type", answer.content_type),
            ("Content-Length", str(len(answer.body))),
            ("Connection", "close"),
        ]
        head = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers)
        self.transport.write(f"{head}\r\n".encode() + answer.body)
        self.transport.close()

    def _wait_for_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_DEADLINE_SECONDS, self.transport.close)

    def shutdown(self) -> None:
        # A stream does not end by itself: every stream of the process waits for this.
        self.app_state["stopping"].set()
        super().shutdown()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"]["cut_off"] = self.transport.abort
        self._wait_for_head()

    def on_headers_complete(self) -> None:
        self._forget_timer()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_timer()
        super().connection_lost(exc)

    def _forget_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class _Server(uvicorn.Server):
    """Ends by itself on SIGTERM and SIGINT: the process goes on to its own exit code."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_host(settings: Settings, host: str) -> None:
    """Raise BadSetting where anybody on the network could do everything."""
    if not (is_loopback(host) or settings.api_keys or settings.allow_anonymous):
        raise BadSetting(
            "--host",
            host,
            "a loopback address, unless STORELOG_API_KEYS has a key or"
            " STORELOG_ALLOW_ANONYMOUS is true",
        )


def serve(app: Any, settings: Settings, host: str, port: int) -> None:
    """Serve `app` until SIGTERM or SIGINT. Raises BadSetting; CannotRun when the port is taken."""
    set_up_logs(settings)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="auto",
        http=_ImpatientProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        backlog=2_048,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=STOP_WITHIN_SECONDS,
    )
    listener = _listen(host, port)
    try:
        _Server(config).run(sockets=[listener])
    finally:
        listener.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CannotRun(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener
