"""Removes idempotency keys that have expired: in small steps, on a connection of its own.

Guarantees that the table has no more than the keys of the retention time, at any rate at which
keys come, and that no command waits for it: a step locks only keys that have expired,
takes at most a fifth of the time, and leaves a key that a batch is replacing.
Next: command_service/store.py
"""

import asyncio
import time

import structlog

from storelog import postgres
from storelog.command_service import measures, store

STEP_KEYS = 500
# After a step, a pause of so many times its length and a minimum; a longer one with nothing to do.
PAUSE_TIMES = 4.0
PAUSE_SECONDS = 0.02
IDLE_SECONDS = 2.0
BACK_OFF_SECONDS = 5.0
_log = structlog.get_logger()


class Forgetting:
    """Runs beside the pipeline until it is stopped; PostgreSQL may be away meanwhile."""

    def __init__(self, postgres_url: str) -> None:
        self._url = postgres_url
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to remove keys."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop removing keys."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1)

    async def _run(self) -> None:
        while True:
            try:
                await self._forget()
            except postgres.FAILURES as error:
                _log.warning("expired keys are not removed", error=str(error) or repr(error))
            await asyncio.sleep(BACK_OFF_SECONDS)

    async def _forget(self) -> None:
        connection = await store.connect(self._url)
        try:
            # A crash may bring back removed keys: they have expired, and are removed again.
            await connection.execute("SET synchronous_commit = off")
            while True:
                began = time.monotonic()
                removed = await connection.fetchval("SELECT forget_expired_keys($1)", STEP_KEYS)
                measures.KEYS_REMOVED.add(removed)
                took = time.monotonic() - began
                is_idle = removed < STEP_KEYS
                await asyncio.sleep(IDLE_SECONDS if is_idle else PAUSE_SECONDS + PAUSE_TIMES * took)
        finally:
            connection.terminate()
