"""Sends commands over HTTP, many in flight, each with its Idempotency-Key.

What is repeated after an error has the same key, so it has one effect. Gives up when nothing has
been answered for a minute, or nothing at all for 5 s.
Next: traffic/retail_import.py
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
import msgspec

from storelog.config import Settings
from storelog.errors import CannotRun

IN_FLIGHT = 48
GIVE_UP_SECONDS = 60.0
FIRST_ANSWER_SECONDS = 5.0
MAX_WAIT_SECONDS = 2.0
_TRY_AGAIN = (502, 503, 504)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service said: the status, the body, and the position where there was one."""

    status: int
    body: Any
    position: int


class Refused(CannotRun):
    """A command was refused; the message says which and why."""

    def __init__(self, what: str, answer: Answer) -> None:
        body = answer.body if isinstance(answer.body, dict) else {}
        fields = "; ".join(f"{e['pointer']} {e['detail']}" for e in body.get("errors", []))
        detail = fields or body.get("detail", "")
        slug = str(body.get("type", "")).rpartition("/")[2]
        super().__init__(f"{what} was refused: {answer.status} {slug}: {detail}")
        self.answer = answer


class Sender:
    """One session to a service; use it as an async context."""

    def __init__(self, settings: Settings, url: str) -> None:
        self._url = url
        key = settings.api_key
        self._headers = {"Content-Type": "application/json"}
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._last_answer_at, self._has_answered = time.monotonic(), False
        self._session: aiohttp.ClientSession | None = None
        self.position = 0

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
        timeout = aiohttp.ClientTimeout(total=30, connect=5)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def send(self, method: str, path: str, body: Any, key: str | None = None) -> Answer:
        """Return the answer, whatever its status; wait and repeat while the service is away.

        Raises CannotRun when nothing answers for too long.
        """
        headers = dict(self._headers)
        if key is not None:
            headers["Idempotency-Key"] = key
        raw = None if body is None else msgspec.json.encode(body)
        wait = 0.1
        async with self._slots:
            while True:
                answer, trouble = await self._try(method, path, raw, headers)
                if answer is not None:
                    return answer
                patience = GIVE_UP_SECONDS if self._has_answered else FIRST_ANSWER_SECONDS
                if time.monotonic() - self._last_answer_at > patience:
                    raise CannotRun(f"{self._url} does not answer: {trouble}")
                await asyncio.sleep(wait)
                wait = min(2 * wait, MAX_WAIT_SECONDS)

    async def _try(
        self, method: str, path: str, raw: bytes | None, headers: Mapping[str, str]
    ) -> tuple[Answer | None, str]:
        assert self._session is not None
        try:
            async with self._session.request(
                method, self._url + path, data=raw, headers=headers
            ) as response:
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return None, repr(error)
        if response.status in _TRY_AGAIN:
            return None, f"status {response.status}"
        self._last_answer_at, self._has_answered = time.monotonic(), True
        position = int(response.headers.get("Storelog-Position", 0))
        self.position = max(self.position, position)
        return Answer(
            response.status, msgspec.json.decode(content) if content else None, position
        ), ""
