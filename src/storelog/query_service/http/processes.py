"""Reads the readiness of every process in the settings, all at once, each within a second.

A result is kept for a second, so that the processes get one request however many pages ask.
Next: query_service/http/route_parts.py
"""

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from storelog.config import Settings
from storelog.reasons import reason

if TYPE_CHECKING:
    import aiohttp

ASK_SECONDS = 1.0
HOLD_SECONDS = 1.0
MAX_BYTES = 65_536
Facts = dict[str, Any]


class Processes:
    """The four processes, by the addresses that the settings name."""

    def __init__(self, settings: Settings) -> None:
        self._urls = {
            "command-service": settings.command_url,
            "relay": settings.relay_url,
            "projector": settings.projector_url,
            "query-service": settings.query_url,
        }
        self._session: aiohttp.ClientSession | None = None
        self._found: list[Facts] = []
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def look(self) -> list[Facts]:
        """Return each process as `{name, state, detail, facts}`.

        The state is ready, not-ready, away, or unknown where no setting names its address.
        """
        async with self._looking:
            if time.monotonic() > self._looked_at + HOLD_SECONDS:
                asked = (self._ask(name, url) for name, url in self._urls.items())
                self._found = list(await asyncio.gather(*asked))
                self._looked_at = time.monotonic()
            return self._found

    async def _ask(self, name: str, url: str | None) -> Facts:
        if url is None:
            setting = f"STORELOG_{name.replace('-', '_').upper()}_URL"
            return _process(name, "unknown", f"{setting} is not set")
        # Importing it takes a sixth of a service's start, so it is imported on first use.
        import aiohttp

        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=ASK_SECONDS)
            self._session = aiohttp.ClientSession(timeout=timeout)
        try:
            async with self._session.get(f"{url}/health/ready", allow_redirects=False) as response:
                body = bytearray()
                async for piece in response.content.iter_any():
                    body += piece
                    if len(body) > MAX_BYTES:
                        raise ValueError
                said = json.loads(body)
                if not isinstance(said, dict):
                    raise ValueError
                if response.status != 200:
                    return _process(name, "not-ready", str(said.get("detail", response.status)))
                del said["status"]
                return _process(name, "ready", None, said)
        except (ValueError, KeyError):
            return _process(name, "away", "it does not respond as a process of Storelog")
        except TimeoutError:
            return _process(name, "away", "it does not respond in time")
        except aiohttp.ClientConnectorError as error:
            return _process(name, "away", reason(error.os_error))
        except (aiohttp.ClientError, OSError):
            return _process(name, "away", "it closed the connection")


def _process(name: str, state: str, detail: str | None, facts: Facts | None = None) -> Facts:
    return {"name": name, "state": state, "detail": detail, "facts": facts or {}}
