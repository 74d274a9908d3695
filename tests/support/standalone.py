"""MongoDB's own server alone, without a replica set: it rejects every transaction.

A proxy sends, in place of its server, the response of mongod to a transaction number
(`initializeOperationSessionInfo` in its sources: IllegalOperation), and passes on everything else.
"""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, Self

import bson

OP_MSG = 2013
_HEADER = struct.Struct("<iiii")
_REFUSAL = {
    "ok": 0.0,
    "errmsg": "Transaction numbers are only allowed on a replica set member or mongos",
    "code": 20,
    "codeName": "IllegalOperation",
}


class Standalone:
    """Listens on a port of its own until closed; while `is_alone` there are no transactions."""

    def __init__(self, host: str, port: int, *, is_alone: bool = True) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.is_alone = is_alone
        self.refused: list[str] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target, 5) as server:
            server.settimeout(None)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
            back.start()
            with suppress(OSError), client.makefile("rb") as requests:
                while (message := _read_message(requests)) is not None:
                    refusal = self._refusal(message)
                    (server if refusal is None else client).sendall(refusal or message)
            _shut(server)
            back.join()

    def _refusal(self, message: bytes) -> bytes | None:
        """Return a standalone mongod's response to a command with a transaction number."""
        _, request, _, kind = _HEADER.unpack_from(message)
        if not self.is_alone or kind != OP_MSG:
            return None
        size = struct.unpack_from("<i", message, _HEADER.size + 5)[0]
        command: dict[str, Any] = bson.decode(message[_HEADER.size + 5 :][:size])
        said = self._said(command)
        if said is None:
            return None
        self.refused.append(next(iter(command)))
        body = bytes(5) + bson.encode(said)
        return _HEADER.pack(_HEADER.size + len(body), 0, request, OP_MSG) + body

    def _said(self, command: dict[str, Any]) -> dict[str, Any] | None:
        return _REFUSAL if "txnNumber" in command else None


class Lacking(Standalone):
    """A server that does not know some commands, and says so as FerretDB does."""

    def __init__(self, host: str, port: int, lacks: Callable[[dict[str, Any]], bool]) -> None:
        super().__init__(host, port)
        self._lacks = lacks

    def _said(self, command: dict[str, Any]) -> dict[str, Any] | None:
        said = {"ok": 0.0, "errmsg": "not yet", "code": 238, "codeName": "NotImplemented"}
        return said if self._lacks(command) else None


def _read_message(source: BinaryIO) -> bytes | None:
    head = source.read(_HEADER.size)
    if len(head) < _HEADER.size:
        return None
    rest = _HEADER.unpack(head)[0] - _HEADER.size
    body = source.read(rest)
    return head + body if len(body) == rest else None


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    _shut(sink)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
