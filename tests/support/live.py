"""A reader of /live that shows exactly what comes over the wire."""

import http.client
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

from support.http import Reply


@dataclass
class LiveReader:
    """Reads in a thread; use it as a context. `events` are (id, event, data) in order."""

    url: str
    path: str = "/live"
    headers: Mapping[str, str] = field(default_factory=dict)
    events: list[tuple[int, str, str]] = field(default_factory=list)
    last_id: int | None = None
    heart_beats: int = 0
    is_over: bool = False

    def __enter__(self) -> Self:
        address = urlsplit(self.url)
        self._connection = http.client.HTTPConnection(
            str(address.hostname), address.port, timeout=60
        )
        self._connection.request("GET", self.path, headers=dict(self.headers))
        self._answer = self._connection.getresponse()
        if self._answer.status == 200:
            self._socket = self._connection.sock
            self._thread = threading.Thread(target=self._read, daemon=True)
            self._thread.start()
        return self

    @property
    def said(self) -> dict[str, str]:
        """The response's headers; names are in lower case."""
        return {name.lower(): value for name, value in self._answer.getheaders()}

    @property
    def refusal(self) -> Reply:
        """The response that was not a stream."""
        return Reply(self._answer.status, self.said, self._answer.read())

    def _read(self) -> None:
        seen: dict[str, Any] = {}
        try:
            for raw in self._answer:
                line = raw.decode().rstrip("\n")
                name, _, value = line.partition(": ")
                if name in ("id", "event", "data"):
                    seen[name] = value
                elif not line and seen:
                    self.last_id = int(seen["id"])
                    if "data" in seen:
                        self.events.append((self.last_id, seen.get("event", ""), seen["data"]))
                    else:
                        self.heart_beats += 1
                    seen = {}
        except (http.client.HTTPException, OSError, ValueError, AttributeError):
            # Whatever broke the connection, what was whole before it counts.
            pass
        self.is_over = True

    def __exit__(self, *_: object) -> None:
        if self._answer.status == 200:
            self._socket.shutdown(2)
            self._thread.join(10)
        self._connection.close()
