"""One page of a list, which ends early where its bodies would be too large; and counting.

Next: query_service/paging/by_time.py
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from storelog.query_service.paging.keyset import PageKey
from storelog.query_service.positions.view import Document

MAX_COUNTED = 10_000
COUNT_CHUNK = 500
COUNT_SECONDS = 3.0
# An order of 2,000 lines has 200 KB, so a page of 500 of them would need 100 MB of memory.
MAX_PAGE_BYTES = 2 * 1_048_576


@dataclass(frozen=True, slots=True)
class Page:
    """One page, and the key after which the next one begins, None after the last."""

    documents: list[Document]
    next_key: PageKey | None


async def count(find: Callable[[PageKey | None, int], Awaitable[Page]]) -> dict[str, Any]:
    """Return the number of items in all pages: at most MAX_COUNTED, in at most COUNT_SECONDS.

    A number that is not exact is a lower bound.
    """
    give_up_at = asyncio.get_running_loop().time() + COUNT_SECONDS
    counted, after = 0, None
    while counted < MAX_COUNTED and asyncio.get_running_loop().time() < give_up_at:
        page = await find(after, COUNT_CHUNK)
        counted, after = counted + len(page.documents), page.next_key
        if after is None:
            break
    # The last page may exceed MAX_COUNTED.
    is_exact = after is None and counted <= MAX_COUNTED
    return {"count": min(counted, MAX_COUNTED), "countIsExact": is_exact}


async def first_page(
    documents: AsyncGenerator[Document],
    limit: int,
    key: Callable[[Document], PageKey],
    size_of: Callable[[Document], int] = lambda _: 0,
) -> Page:
    """Return the first `limit` documents, or fewer that reach MAX_PAGE_BYTES; stop reading."""
    found: list[Document] = []
    size = 0
    async with aclosing(documents):
        async for document in documents:
            if len(found) == limit or size >= MAX_PAGE_BYTES:
                return Page(found, key(found[-1]))
            found.append(document)
            size += size_of(document)
    return Page(found, None)
