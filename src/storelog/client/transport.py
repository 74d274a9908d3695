"""One call over HTTP: sent again while that is safe, until it is answered or patience ends.

Safe are reads, and commands with an Idempotency-Key, after a network error or a 429, 502, 503 or
504; `Retry-After` is heeded. In flight are at most `max_in_flight` calls; each try has a deadline.
Next: client/shop.py
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from storelog.client.problems import NoAnswer, Problem, read_problem

CONNECT_SECONDS = 5.0
TRY_SECONDS = 40.0
FIRST_ANSWER_SECONDS = 5.0
FIRST_WAIT_SECONDS = 0.1
MAX_WAIT_SECONDS = 2.0
_AGAIN = (429, 502, 503, 504)
_IN_PROGRESS = "idempotency-in-progress"


@dataclass(frozen=True, slots=True)
class Answer:
    """A success: its body, and the headers that say more."""

    body: bytes
    position: int
    version: int | None


@dataclass(frozen=True, slots=True)
class _Trouble:
    """Why a try failed; `wait_seconds` is how long the service wants to be left alone."""

    cause: Problem | NoAnswer
    wait_seconds: float = 0.0


class Transport:
    """The one session to both services; opened by the first call, to be closed by its owner."""

    def __init__(self, api_key: str | None, patience_seconds: float, max_in_flight: int) -> None:
        self._headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        self.patience = patience_seconds
        self._first_patience = min(FIRST_ANSWER_SECONDS, patience_seconds)
        self._slots = asyncio.Semaphore(max_in_flight)
        self._answered: set[str] = set()
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def session(self) -> aiohttp.ClientSession:
        """Return the session; it lives in the loop that runs."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TRY_SECONDS, connect=CONNECT_SECONDS)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), timeout=timeout, headers=self._headers
            )
        return self._session

    @asynccontextmanager
    async def stream(
        self,
        url: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        silence_seconds: float,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Give an answer that goes on. Raises Problem for another one, and aiohttp's errors.

        No line for `silence_seconds` is a time-out.
        """
        timeout = aiohttp.ClientTimeout(connect=CONNECT_SECONDS, sock_read=silence_seconds)
        async with self.session().get(
            url + path, params=query, headers=headers, timeout=timeout
        ) as response:
            if response.status != 200:
                raise read_problem(response.status, await response.read())
            yield response

    async def call(
        self,
        method: str,
        url: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Answer:
        """Return the success. Raises Problem for another answer, NoAnswer when there is none."""
        sent = dict(headers or {})
        raw = None
        if body is not None:
            sent["Content-Type"] = "application/json"
            raw = msgspec.json.encode(body)
        is_safe = method == "GET" or "Idempotency-Key" in sent
        async with self._slots:
            began, wait = time.monotonic(), FIRST_WAIT_SECONDS
            while True:
                outcome = await self._try(method, url, path, query, sent, raw)
                if isinstance(outcome, Answer):
                    return outcome
                pause = max(outcome.wait_seconds, wait * random.uniform(0.5, 1.0))
                # One that has never answered is not worth as much waiting as one that is away.
                patience = self.patience if url in self._answered else self._first_patience
                if not is_safe or time.monotonic() - began + pause > patience:
                    raise outcome.cause
                await asyncio.sleep(pause)
                wait = min(2 * wait, MAX_WAIT_SECONDS)

    async def _try(
        self,
        method: str,
        url: str,
        path: str,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Answer | _Trouble:
        try:
            async with self.session().request(
                method, url + path, params=query, data=body, headers=headers, allow_redirects=False
            ) as response:
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return _Trouble(NoAnswer(f"{url} does not answer: {error!r}"))
        if response.status < 300:
            self._answered.add(url)
            return Answer(raw, _number(response, "Storelog-Position") or 0, _version(response))
        problem = read_problem(response.status, raw)
        if problem.slug:
            self._answered.add(url)
        if response.status in _AGAIN or problem.slug == _IN_PROGRESS:
            return _Trouble(problem, float(_number(response, "Retry-After") or 0))
        raise problem


def _number(response: aiohttp.ClientResponse, name: str) -> int | None:
    given = response.headers.get(name, "")
    return int(given) if given.isascii() and given.isdecimal() else None


def _version(response: aiohttp.ClientResponse) -> int | None:
    given = response.headers.get("ETag", "").strip('"')
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 12 else None
