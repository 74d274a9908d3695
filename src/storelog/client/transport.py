"""One call over HTTP: repeated while that is safe, until there is a response or patience ends.

Reads, and commands with an Idempotency-Key, are repeated after a network error or a 429, 502, 503
or 504, after the delay of `Retry-After`. At most `max_in_flight` calls are in flight. Once in
flight, no call takes longer than the client's patience with all its tries.
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
FIRST_RESPONSE_SECONDS = 5.0
FIRST_WAIT_SECONDS = 0.1
MAX_WAIT_SECONDS = 2.0
# Far more than a page of the largest orders, or a line of one event, can have.
MAX_BODY_BYTES, MAX_LINE_BYTES = 256 * 1024 * 1024, 16 * 1024 * 1024
EVENT_STREAM = "text/event-stream"
_AGAIN = (429, 502, 503, 504)
# An order's tag has a hash after the version, and that of a compressed body one more word.
_VERSION_TAG = re.compile(r'"([1-9][0-9]{0,17})["-]')
_NO_URL = (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)
_IN_PROGRESS = "idempotency-in-progress"


@dataclass(frozen=True, slots=True)
class Success:
    """A success: its body, and the values of its headers."""

    body: bytes
    position: int
    version: int | None
    history: str | None = None


@dataclass(frozen=True, slots=True)
class _Trouble:
    """Why a try failed; `wait_seconds` is the delay that the service asks for."""

    cause: Problem | NoAnswer
    wait_seconds: float = 0.0


class Transport:
    """The one HTTP session to all services; the first call opens it, and the owner closes it."""

    def __init__(self, api_key: str | None, patience_seconds: float, max_in_flight: int) -> None:
        self._headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        self.patience = patience_seconds
        self._first_patience = min(FIRST_RESPONSE_SECONDS, patience_seconds)
        self._slots = asyncio.Semaphore(max_in_flight)
        self._responded: set[str] = set()
        self._responded_at = 0.0
        self._session: aiohttp.ClientSession | None = None
        self.is_closed = False

    async def close(self) -> None:
        """Close the connections; calls that are under way raise ClientClosed."""
        self.is_closed = True
        if self._session is not None:
            await self._session.close()

    def session(self) -> aiohttp.ClientSession:
        """Return the session, which belongs to the running loop. Raises ClientClosed."""
        if self.is_closed:
            raise ClientClosed
        if self._session is None:
            # The slots limit the calls; a limit of connections would also count the live streams.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), headers=self._headers
            )
        return self._session

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[float]:
        """Hold one slot for a call in flight; yield when its patience began (monotonic seconds).

        Raises NoAnswer if no slot gets free and no service responds for the length of the patience.
        A long queue may take longer as long as it moves.
        """
        called_at = time.monotonic()
        while True:
            left = max(called_at, self._responded_at) + self.patience - time.monotonic()
            if left <= 0:
                raise NoAnswer("none of the calls before this one got a response")
            try:
                async with asyncio.timeout(left):
                    await self._slots.acquire()
                break
            except TimeoutError:
                continue
        try:
            yield max(called_at, self._responded_at)
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
        first_seconds: float,
        silence_seconds: float,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield the lines of an endless response. Raises aiohttp's errors, Problem and NoAnswer.

        Without a first line within `first_seconds`, or a further one within `silence_seconds`, it
        times out.
        """
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS)
        until = asyncio.get_running_loop().time() + first_seconds
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

        Raises Problem for an error response, NoAnswer without a response in time, ClientClosed.
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
                # Random, so that many clients do not return together after an outage.
                pause = max(outcome.wait_seconds, wait * random.uniform(0.5, 1.0))
                # An address that has never responded is probably wrong, so give up sooner.
                patience = self.patience if url in self._responded else self._first_patience
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
            # The library's own limit would be rounded up to whole seconds. Redirects are not
            # followed: a 302 would turn a command into a GET.
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
        self._responded_at = time.monotonic()
        if response.status < 300:
            self._responded.add(url)
            position = _number(response, "Storelog-Position") or 0
            history = response.headers.get(HEADER)
            return Success(raw, position, _version(response), history)
        problem = read_problem(response.status, raw)
        # Only a Storelog service gives a slug; a proxy's error does not prove the address.
        if problem.slug:
            self._responded.add(url)
        if isinstance(problem, BehindDeadLetter):
            raise problem
        if response.status in _AGAIN or problem.slug == _IN_PROGRESS:
            return _Trouble(problem, float(_number(response, "Retry-After") or 0))
        raise problem


def _no_address(url: str) -> NoAnswer:
    return NoAnswer(f"{url!r} is not an address such as http://127.0.0.1:8080")


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """Return the whole body. Raises NoAnswer for one that is larger than any service sends."""
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
    """Yield whole lines; the first must come by `until`. Raises TimeoutError, NoAnswer."""
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
    """Return one line on why there was no response, without the library's own wording."""
    if isinstance(error, TimeoutError):
        return f"{url} did not respond in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"{url} cannot be reached: {reason(error.os_error)}"
    if isinstance(error, aiohttp.ClientConnectionError | OSError):
        return f"{url} closed the connection before it responded"
    return f"{url} responded with something other than HTTP"


def _number(response: aiohttp.ClientResponse, name: str) -> int | None:
    given = response.headers.get(name, "")
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 20 else None


def _version(response: aiohttp.ClientResponse) -> int | None:
    tag = _VERSION_TAG.match(response.headers.get("ETag", ""))
    return None if tag is None else int(tag[1])
