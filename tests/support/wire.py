"""A TCP proxy that can cut the wire: before a request arrives, or after, before its answer."""

import socket
import threading
from contextlib import suppress
from typing import Self


class Wire:
    """Forwards connections to a server; `cut` says how the next request is lost."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._cut: str | None = None
        self.happened = threading.Event()
        self._is_closing = False

    def cut(self, what: str) -> None:
        """Lose the next `request`, or the next `answer`, and the connection with it."""
        self.happened.clear()
        self._cut = what

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closing = True
        self._listener.close()

    def _accept(self) -> None:
        while not self._is_closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            back = threading.Thread(target=self._forward, args=(server, client, "answer"))
            back.start()
            self._forward(client, server, "request")
            back.join()

    def _forward(self, source: socket.socket, sink: socket.socket, what: str) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if self._cut == what:
                    self._cut = None
                    self.happened.set()
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
