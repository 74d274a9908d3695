"""A plain HTTP client that shows each response exactly as it came."""

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Reply:
    """One response; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def slug(self) -> str:
        assert self.headers["content-type"] == "application/problem+json", self.raw
        problem = self.json
        assert problem["status"] == self.status
        assert {"type", "title", "detail", "instance", "correlationId"} <= problem.keys()
        kind: str = problem["type"]
        return kind.removeprefix("/problems/")

    @property
    def pointers(self) -> list[str]:
        return sorted(error["pointer"] for error in self.json["errors"])

    @property
    def position(self) -> int:
        return int(self.headers["storelog-position"])

    @property
    def etag(self) -> str:
        return self.headers["etag"]


class Client:
    """One service; every call is a connection of its own."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self.url = url
        self._key = key

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Reply:
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
        sent = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        if body is not None or raw is not None:
            sent["Content-Type"] = "application/json"
        content = (
            raw if raw is not None else json.dumps(body).encode() if body is not None else None
        )
        try:
            connection.request(method, path, content, {**sent, **(headers or {})})
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, names, answer.read())
        finally:
            connection.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        return self.send("GET", path, headers=headers)

    def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Reply:
        return self.send("POST", path, body, headers)

    def put(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Reply:
        return self.send("PUT", path, body, headers)

    def delete(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        return self.send("DELETE", path, headers=headers)

    def pages(self, path: str, limit: int = 50) -> Iterator[dict[str, Any]]:
        """Yield every item of a list, page by page."""
        joined = "&" if "?" in path else "?"
        cursor = ""
        for _ in range(1_000):
            reply = self.get(f"{path}{joined}limit={limit}{cursor}")
            assert reply.status == 200, reply.raw
            assert len(reply.json["items"]) <= limit
            yield from reply.json["items"]
            if reply.json["nextCursor"] is None:
                return
            cursor = f"&cursor={reply.json['nextCursor']}"
        raise AssertionError("a list without an end")
