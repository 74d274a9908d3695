"""A TCP proxy that can cut the wire: before a request arrives, or after, before its answer."""

import socket
import threading
from types import TracebackType
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_closing = True
        self._listener.close()

    def _accept(self) -> None:
        while not self._is_closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            for source, sink, what in ((client, server, "request"), (server, client, "answer")):
                threading.Thread(
                    target=self._forward, args=(source, sink, what), daemon=True
                ).start()

    def _forward(self, source: socket.socket, sink: socket.socket, what: str) -> None:
        try:
            while data := source.recv(65_536):
                if self._cut == what:
                    self._cut = None
                    self.happened.set()
                    break
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
