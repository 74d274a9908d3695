"""A thousand open pages of the console in the background."""

import asyncio
import time
from urllib.parse import urlsplit

import psutil
import pytest

from support.console import Browser
from support.system import System, wait_for

pytestmark = pytest.mark.alone

STREAMS, AT_ONCE = 1_000, 50
WATCHED_SECONDS, DEADLINE_SECONDS = 5.0, 60.0
# Each stream asks once a second whether its key still holds.
MOST_CPU, MOST_BYTES_EACH, SLOWEST_PAGE_SECONDS = 0.5, 200_000, 2.0
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _open(url: str, cookie: str) -> list[Stream]:
    address = urlsplit(url)
    asked = f"GET /console/live HTTP/1.1\r\nHost: {address.netloc}\r\nCookie: {cookie}\r\n\r\n"

    async def one() -> Stream:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(asked.encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        return reader, writer

    streams: list[Stream] = []
    while len(streams) < STREAMS:
        streams += await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    return streams


async def _watch(system: System, browser: Browser, process: psutil.Process) -> str:
    """Open the streams, look at what they cost, sell something, and close them."""
    memory = process.memory_info().rss
    streams = await _open(system.settings.query_url, browser.headers["Cookie"])
    cpu = (await asyncio.to_thread(process.cpu_percent, WATCHED_SECONDS)) / 100
    began = time.monotonic()
    page = await asyncio.to_thread(browser.open, "/orders")
    taken = time.monotonic() - began
    order = await asyncio.to_thread(system.new_order, 1, (1, 1))
    told = f'"order-{order["orderId"]}"'.encode()
    await asyncio.gather(*(reader.readuntil(told) for reader, _ in streams))
    each = (process.memory_info().rss - memory) / STREAMS
    for _, writer in streams:
        writer.close()
    said = f"CPU {cpu:.2f}, {each / 1000:.0f} kB each, a page in {taken:.3f} s"
    assert page.status == 200 and taken < SLOWEST_PAGE_SECONDS, said
    assert cpu < MOST_CPU and each < MOST_BYTES_EACH, said
    return said


def test_a_thousand_idle_pages_are_told_of_an_order_cost_little_and_leave_nothing_behind(
    keyed_shop: System,
) -> None:
    browser = Browser(keyed_shop, "read")
    process = psutil.Process(keyed_shop.pid("query-service"))
    browser.page("")
    before = process.num_fds()
    print(asyncio.run(asyncio.wait_for(_watch(keyed_shop, browser, process), DEADLINE_SECONDS)))
    wait_for(lambda: process.num_fds() <= before + 20, "the streams end")
    assert browser.open("").status == 200
