"""Runs a worker (relay, projector) with its health and metrics, in one process.

When one of the worker's loops raises, the health endpoint stops and the process ends with that
error.
Next: relay/relay.py
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from storelog.api_keys import KeySet
from storelog.config import Settings
from storelog.web.app import App
from storelog.web.http import Route
from storelog.web.keyring import Keyring
from storelog.web.server import check_host, serve


def serve_worker(
    name: str,
    settings: Settings,
    host: str,
    port: int,
    loops: Sequence[Callable[[], Awaitable[None]]],
    facts: Callable[[], Mapping[str, Any]],
    measure: Callable[[], Awaitable[None]],
    key_set: Callable[[], Awaitable[KeySet]],
    now: Callable[[], float],
    routes: Sequence[Route] = (),
    schemas: Mapping[str, Any] | None = None,
) -> None:
    """Run `loops` until SIGTERM or SIGINT, or until one raises, which is raised here again.

    `key_set` gives the keys beside those of the settings; its metrics need one of them. `now`: the
    time by which they expire, in seconds since 1970. `routes`: what it serves beside its health,
    with the schemas that they name.
    """
    failures: list[BaseException] = []
    tasks: list[asyncio.Task[None]] = []

    async def start() -> None:
        tasks.extend(asyncio.create_task(_watch(loop, failures)) for loop in loops)

    async def stop() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    keyring = Keyring(settings.api_keys, key_set, now)

    async def ready() -> Mapping[str, Any]:
        # The reason why the worker stands still tells more than that the keys are not known.
        found = facts()
        keyring.check_known()
        return found

    check_host(settings, host)
    app = App(
        name,
        routes,
        settings,
        ready,
        schemas=schemas,
        measure=measure,
        keyring=keyring,
        on_startup=start,
        on_shutdown=stop,
    )
    serve(app, settings, host, port)
    if failures:
        raise failures[0]


async def _watch(work: Callable[[], Awaitable[None]], failures: list[BaseException]) -> None:
    try:
        await work()
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001  any error of the worker ends the process
        failures.append(error)
        stop_serving()


def stop_serving() -> None:
    """End this process's server as SIGTERM would."""
    os.kill(os.getpid(), signal.SIGTERM)
