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
from storelog.log_history import HEADER
from storelog.reasons import reason
from storelog.shop.json_values import encode_json

CONNECT_SECONDS = 5.0
FIRST_ANSWER_SECONDS = 5.0
FIRST_WAIT_SECONDS = 0.1
MAX_WAIT_SECONDS = 2.0
# Far more than a page of the largest orders, or one event, has.
MAX_BODY_BYTES, MAX_LINE_BYTES = 256 * 1024 * 1024, 16 * 1024 * 1024
EVENT_STREAM = "text/event-stream"
_AGAIN = (429, 502, 503, 504)
# An order's tag has a hash after its version, a compressed body's one more word.
_VERSION_TAG = re.compile(r'"([1-9][0-9]{0,17})["-]')
_NO_URL = (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)
_IN_PROGRESS = "idempotency-in-progress"


@dataclass(frozen=True, slots=True)
class Success:
    """A success: its body, and the headers that say more."""

    body: bytes
    position: int
    version: int | None
    history: str | None = None


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
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the lines of an answer that goes on. Raises aiohttp's errors, Problem and NoAnswer.

        No first line for `answer_seconds`, and no further one for `silence_seconds`, is a time-out.
        """
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS)
        until = asyncio.get_running_loop().time() + answer_seconds
        async with asyncio.timeout_at(until):
            try:
                response = await self.session().get(
                    url + path,
                    params=query,
                    headers=headers,
                    timeout=timeout,
                    allow_redirects=False,
                )
            except _NO_URL as error:
                raise _no_address(url) from error
            if response.status != 200:
                async with response:
                    raise read_problem(response.status, await _body(response))
        async with response:
            if response.content_type != EVENT_STREAM:
                raise NoAnswer(f"{url} is not a Storelog service: it sends no {EVENT_STREAM}")
            yield _lines(response, until, silence_seconds)

    async def call(
        self,
        method: str,
        url: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Success:
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
                if isinstance(outcome, Success):
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
    ) -> Success | _Trouble:
        """Send once; `seconds` is how long it may take."""
        session = self.session()
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS)
        try:
            # The library's own limit would be rounded up to whole seconds.
            async with (
                asyncio.timeout(max(seconds, 0.001)),
                session.request(
                    method,
                    url + path,
                    params=query,
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                    timeout=timeout,
                ) as response,
            ):
                raw = await _body(response)
        except _NO_URL as error:
            raise _no_address(url) from error
        except (aiohttp.ClientError, TimeoutError, OSError, RuntimeError) as error:
            if self.is_closed:
                raise ClientClosed from error
            if isinstance(error, RuntimeError):
                raise
            return _Trouble(NoAnswer(no_answer(url, error)))
        self._answered_at = time.monotonic()
        if response.status < 300:
            self._answered.add(url)
            position = _number(response, "Storelog-Position") or 0
            history = response.headers.get(HEADER)
            return Success(raw, position, _version(response), history)
        problem = read_problem(response.status, raw)
        if problem.slug:
            self._answered.add(url)
        if isinstance(problem, BehindDeadLetter):
            raise problem
        if response.status in _AGAIN or problem.slug == _IN_PROGRESS:
            return _Trouble(problem, float(_number(response, "Retry-After") or 0))
        raise problem


def _no_address(url: str) -> NoAnswer:
    return NoAnswer(f"{url!r} is no address such as http://127.0.0.1:8080")


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """Return the whole body. Raises NoAnswer for one that is larger than any service's."""
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > MAX_BODY_BYTES:
            raise NoAnswer(f"{response.url.origin()} sends more than {MAX_BODY_BYTES} bytes")
    return b"".join(pieces)


async def _lines(
    response: aiohttp.ClientResponse, until: float, silence_seconds: float
) -> AsyncIterator[bytes]:
    """Yield whole lines, the first one until a time of the loop. Raises TimeoutError, NoAnswer."""
    begun: list[bytes] = []
    size = 0
    while True:
        async with asyncio.timeout_at(until):
            piece = await response.content.readany()
        if not piece:
            return
        first, *others = piece.split(b"\n")
        begun.append(first)
        size += len(first)
        if size > MAX_LINE_BYTES:
            raise NoAnswer(f"{response.url.origin()} sends a line of more than {size} bytes")
        for other in others:
            yield b"".join(begun)
            begun, size = [other], len(other)
        if others:
            until = asyncio.get_running_loop().time() + silence_seconds


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
