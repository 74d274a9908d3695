"""A TCP proxy with faults: it delays, cuts, swallows or dribbles data, or loses one message.

It stands between a client and its server and knows nothing of their protocols. Data that was sent
through a deaf wire never arrives, even after a repair, as on a network that lost a peer.
Next: torture/rig.py
"""

import re
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

CHUNK_BYTES = 65_536
CONNECT_SECONDS = 5.0
LATE_SECONDS = 1.0
ANYTHING = re.compile(rb"(?s).")


@dataclass(frozen=True, slots=True)
class _Loss:
    """The loss of the next request that matches, or of the response to it."""

    what: str
    matching: re.Pattern[bytes]


class Wire:
    """Forwards connections from its own port to a server, in threads of its own, until closed."""

    def __init__(self, host: str, port: int, listen_port: int = 0) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", listen_port))
        self.port: int = self._listener.getsockname()[1]
        self._mode = "whole"
        self._delay_seconds = 0.0
        self._loss: _Loss | None = None
        self._late: tuple[_Link, socket.socket, bytes] | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self.happened = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._listener.close()
        self.sever()

    def repair(self) -> None:
        """Forward everything again at once; lost data stays lost."""
        self._mode, self._loss, self._late = "whole", None, None

    def delay(self, seconds: float) -> None:
        """Forward each chunk after a delay, in both directions."""
        self._delay_seconds, self._mode = seconds, "slow"

    def dribble(self) -> None:
        """Forward one byte at a time."""
        self._mode = "dribble"

    def deafen(self) -> None:
        """Swallow all data without closing anything: neither side hears from the other again.

        `happened` is set as soon as data is lost.
        """
        self.happened.clear()
        self._mode = "deaf"

    def cut(self) -> None:
        """Close every connection, and each new one at once."""
        self._mode = "cut"
        self.sever()

    def lose(self, what: str, matching: re.Pattern[bytes] = ANYTHING) -> None:
        """Lose the next matching `request`, or the `response` to it, and close.

        A `late request` does arrive, just before the next matching one and long after its sender
        has gone. `happened` is set when the message is lost.
        """
        self.happened.clear()
        self._loss = _Loss(what, matching)

    def sever(self) -> None:
        """Close all open connections; new ones are forwarded as before."""
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            _shut(end)

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._mode == "cut":
                client.close()
                continue
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target, CONNECT_SECONDS)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        with client, server:
            # The wire must add no delay of its own while it is whole.
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open |= {client, server}
            link = _Link()
            back = threading.Thread(
                target=self._forward, args=(server, client, link, "response"), daemon=True
            )
            back.start()
            self._forward(client, server, link, "request")
            back.join()
            with self._lock:
                self._open -= {client, server}

    def _forward(
        self, source: socket.socket, sink: socket.socket, link: "_Link", what: str
    ) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                # A late request's sender is gone; its response only shows that it was handled.
                if link.is_late:
                    link.late_response.set()
                elif link.is_deaf or self._mode == "deaf":
                    link.is_deaf = True
                    self.happened.set()
                elif self._is_lost(link, what, data):
                    break
                elif what == "request" and self._is_put_off(link, source, sink, data):
                    return
                else:
                    self._send(sink, data)
        for end in (source, sink):
            _shut(end)

    def _is_lost(self, link: "_Link", what: str, data: bytes) -> bool:
        loss = self._loss
        if what == "response":
            is_lost = link.is_doomed
        elif loss is None or loss.what == "late request" or not loss.matching.search(data):
            return False
        else:
            self._loss = None
            link.is_doomed = loss.what == "response"
            is_lost = not link.is_doomed
        if is_lost:
            self.happened.set()
        return is_lost

    def _is_put_off(
        self, link: "_Link", client: socket.socket, server: socket.socket, data: bytes
    ) -> bool:
        """Hold back a request that must come late, or deliver the held one before the next."""
        loss = self._loss
        if loss is None or loss.what != "late request" or not loss.matching.search(data):
            return False
        if self._late is None:
            self._late = (link, server, data)
            link.is_late = True
            _shut(client)
            return True
        late, late_server, late_data = self._late
        self._loss = self._late = None
        late_server.sendall(late_data)
        late.late_response.wait(LATE_SECONDS)
        _shut(late_server)
        self.happened.set()
        return False

    def _send(self, sink: socket.socket, data: bytes) -> None:
        if self._mode == "slow":
            self._closed.wait(self._delay_seconds)
        if self._mode != "dribble":
            sink.sendall(data)
            return
        for place in range(len(data)):
            # The wire may be repaired in the middle of a message.
            if self._mode != "dribble":
                sink.sendall(data[place:])
                return
            sink.sendall(data[place : place + 1])


@dataclass(slots=True)
class _Link:
    """One connection. `is_doomed`: its next response is lost. `is_deaf`: it stays deaf after a
    repair. `is_late`: its client has gone, but its request is still held back.
    """

    is_doomed: bool = False
    is_deaf: bool = False
    is_late: bool = False
    late_response: threading.Event = field(default_factory=threading.Event)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
