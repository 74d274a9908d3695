"""One call over HTTP: sent again while that is safe, until it is answered or patience ends.

Safe are reads, and commands with an Idempotency-Key, after a network error or a 429, 502, 503 or
504; `Retry-After` is heeded. In flight are at most `max_in_flight` calls; no call, with all its
tries, takes longer than the patience once it is in flight, whatever the service does.
Next: client/shop.py
"""

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from storelog.client.problems import (
    BehindDeadLetter,
    ClientClosed,
    NoAnswer,
    Problem,
    read_problem,
)
from storelog.reasons import reason
from storelog.shop.json_values import encode_json

CONNECT_SECONDS = 5.0
FIRST_ANSWER_SECONDS = 5.0
FIRST_WAIT_SECONDS = 0.1
MAX_WAIT_SECONDS = 2.0
_AGAIN = (429, 502, 503, 504)
# An order's tag has a hash after its version, a compressed body's one more word.
_VERSION_TAG = re.compile(r'"([1-9][0-9]{0,17})["-]')
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
        self._answered_at = 0.0
        self._session: aiohttp.ClientSession | None = None
        self.is_closed = False

    async def close(self) -> None:
        """Close the connections; calls that are under way raise ClientClosed."""
        self.is_closed = True
        if self._session is not None:
            await self._session.close()

    def session(self) -> aiohttp.ClientSession:
        """Return the session; it lives in the loop that runs. Raises ClientClosed."""
        if self.is_closed:
            raise ClientClosed
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), headers=self._headers
            )
        return self._session

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[float]:
        """Hold one of the calls in flight; give when its patience began (monotonic seconds).

        Raises NoAnswer when none gets free, and nothing is answered, for as long as there is
        patience: a long queue that moves may take its time.
        """
        called_at = time.monotonic()
        while True:
            left = max(called_at, self._answered_at) + self.patience - time.monotonic()
            if left <= 0:
                raise NoAnswer("none of the calls before this one is answered")
            try:
                async with asyncio.timeout(left):
                    await self._slots.acquire()
                break
            except TimeoutError:
                continue
        try:
            yield max(called_at, self._answered_at)
        finally:
            self._slots.release()

    @asynccontextmanager
    async def stream(
        self,
        url: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        *,
        answer_seconds: float,
        silence_seconds: float,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Give an answer that goes on. Raises Problem for another one, and aiohttp's errors.

        No answer for `answer_seconds`, and no line for `silence_seconds`, is a time-out.
        """
        timeout = aiohttp.ClientTimeout(connect=CONNECT_SECONDS, sock_read=silence_seconds)
        async with asyncio.timeout(answer_seconds):
            response = await self.session().get(
                url + path, params=query, headers=headers, timeout=timeout
            )
            if response.status != 200:
                async with response:
                    raise read_problem(response.status, await response.read())
        async with response:
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
        """Return the success.

        Raises Problem for another answer, NoAnswer when there is none in time, ClientClosed.
        """
        sent = dict(headers or {})
        raw = None
        if body is not None:
            sent["Content-Type"] = "application/json"
            raw = encode_json(body)
        is_safe = method == "GET" or "Idempotency-Key" in sent
        async with self._slot() as began:
            wait = FIRST_WAIT_SECONDS
            while True:
                left = began + self.patience - time.monotonic()
                outcome = await self._try(method, url, path, query, sent, raw, left)
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
        seconds: float,
    ) -> Answer | _Trouble:
        """Send once; `seconds` is how long it may take."""
        session = self.session()
        timeout = aiohttp.ClientTimeout(total=max(seconds, 0.001), connect=CONNECT_SECONDS)
        try:
            async with session.request(
                method,
                url + path,
                params=query,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=timeout,
            ) as response:
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError, RuntimeError) as error:
            if self.is_closed:
                raise ClientClosed from error
            if isinstance(error, RuntimeError):
                raise
            return _Trouble(NoAnswer(no_answer(url, error)))
        self._answered_at = time.monotonic()
        if response.status < 300:
            self._answered.add(url)
            return Answer(raw, _number(response, "Storelog-Position") or 0, _version(response))
        problem = read_problem(response.status, raw)
        if problem.slug:
            self._answered.add(url)
        if isinstance(problem, BehindDeadLetter):
            raise problem
        if response.status in _AGAIN or problem.slug == _IN_PROGRESS:
            return _Trouble(problem, float(_number(response, "Retry-After") or 0))
        raise problem


def no_answer(url: str, error: Exception) -> str:
    """Return one line on why there was no answer, in no library's own words."""
    if isinstance(error, TimeoutError):
        return f"{url} did not answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"{url} cannot be reached: {reason(error.os_error)}"
    if isinstance(error, aiohttp.ClientConnectionError | OSError):
        return f"{url} closed the connection before it answered"
    return f"{url} answered something that is not HTTP"


def _number(response: aiohttp.ClientResponse, name: str) -> int | None:
    given = response.headers.get(name, "")
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 20 else None


def _version(response: aiohttp.ClientResponse) -> int | None:
    tag = _VERSION_TAG.match(response.headers.get("ETag", ""))
    return None if tag is None else int(tag[1])
