"""The kit's own record of every request and response, kept outside the system under torture.

A line is flushed to a file before a request is sent and as soon as its response arrives, so that
the system's later state can be compared with its earlier responses.
Next: torture/load.py
"""

import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# The troubles of a request after which it is certain that nothing was done.
REJECTIONS = ("503 unavailable", "503 overloaded", "500 internal-error")


@dataclass(frozen=True, slots=True)
class SeenResponse:
    """A service's response: status, body (None when empty), position, whether it was a replay."""

    status: int
    body: Any
    position: int
    is_replay: bool = False

    @property
    def is_final(self) -> bool:
        """Whether it tells the outcome of the command, rather than to try again."""
        return self.status < 500 and self.slug != "idempotency-in-progress"

    @property
    def slug(self) -> str:
        """The problem's slug, empty for a success."""
        kind = self.body.get("type", "") if isinstance(self.body, dict) else ""
        return str(kind).removeprefix("/problems/") if self.status >= 400 else ""


@dataclass(slots=True)
class SentRequest:
    """One command. `request_id` is also its correlation id; `response` is the first final response.

    `troubles`: the attempts without a final response, each as status and slug (`503 unavailable`)
    or as the broken connection's error.
    """

    request_id: str
    method: str
    path: str
    body: Any
    key: str | None
    response: SeenResponse | None = None
    troubles: list[str] = field(default_factory=list)
    attempts: int = 0

    @property
    def may_have_happened(self) -> bool:
        """Whether it had an effect, or may have had one as far as the responses tell."""
        # A lost connection proves nothing: the service may have committed before it broke.
        if self.response is not None:
            return self.response.status < 300
        return any(trouble not in REJECTIONS for trouble in self.troubles)


class RequestLedger:
    """All requests of a run by id; safe for any number of threads."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self.requests: dict[str, SentRequest] = {}
        self.statuses: Counter[str] = Counter()
        self.breaches: list[str] = []

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def begin(self, request: SentRequest, url: str) -> None:
        """Note that the request is sent, for the first time or again."""
        with self._lock:
            request.attempts += 1
            self.requests[request.request_id] = request
            self._write(
                {
                    "request": request.request_id,
                    "to": url,
                    "method": request.method,
                    "path": request.path,
                    "body": request.body,
                    "key": request.key,
                }
            )

    def end(self, request: SentRequest, response: SeenResponse | None, trouble: str = "") -> None:
        """Note the response, or why there is none."""
        with self._lock:
            told = str(response.status) if response is not None else "none"
            self.statuses[told] += 1
            self._write(
                {
                    "response": request.request_id,
                    "status": None if response is None else response.status,
                    "body": None if response is None else response.body,
                    "position": None if response is None else response.position,
                    "trouble": trouble,
                }
            )
            if response is None or not response.is_final:
                request.troubles.append(
                    trouble if response is None else f"{response.status} {response.slug}"
                )
            elif request.response is None:
                request.response = response
            else:
                self._compare(request, request.response, response)

    def _compare(self, request: SentRequest, first: SeenResponse, again: SeenResponse) -> None:
        """Note a breach unless the repeated response equals the first one."""
        same = (first.status, first.body, first.position)
        if (again.status, again.body, again.position) != same or not again.is_replay:
            self.breaches.append(
                f"request {request.request_id} got {first.status} at {first.position}, and repeated"
                f" it got {again.status} at {again.position}, replay {again.is_replay}"
            )

    def known(self) -> dict[str, SentRequest]:
        """Return a copy of the requests by their ids, since other threads add to them."""
        with self._lock:
            return dict(self.requests)

    def without_response(self) -> list[SentRequest]:
        """Return the requests with a key whose outcome is unknown."""
        with self._lock:
            return [r for r in self.requests.values() if r.response is None and r.key is not None]

    def _write(self, facts: dict[str, Any]) -> None:
        self._file.write(json.dumps(facts, ensure_ascii=False) + "\n")
        self._file.flush()
