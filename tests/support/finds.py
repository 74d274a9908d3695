"""What a find gives where a test stands in for MongoDB."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any


@dataclass
class Found:
    """A cursor over documents, and the context of reading it."""

    documents: list[dict[str, Any]]

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        pass

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        # Of two finds that are under way, none waits for the other.
        await asyncio.sleep(0)
        for document in self.documents:
            yield document
