"""Verify's reading of the log: everything once, in chunks that no large event makes too large."""

import asyncio

import asyncpg
import pytest

from storelog.config import Settings
from storelog.relay import cursor
from storelog.verify.log import read_log
from support.system import System

BYTES = 60_000


def test_verify_reads_the_log_in_chunks_of_bounded_bytes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with System(settings, ("command-service",)) as system:
        customer = system.new_customer()["customerId"]
        product = system.new_product(stock=100_000)["productId"]
        orders = [system.new_order(customer, *[(product, 1)] * 150) for _ in range(12)]
        for order in orders:
            assert system.commands.delete(f"/orders/{order['orderId']}").status == 204
        head = system.written()
    monkeypatch.setattr(cursor, "READ_BYTES", BYTES)

    async def read() -> list[list[tuple[int, int]]]:
        connection = await asyncpg.connect(settings.postgres_url, timeout=10)
        try:
            return [
                [(event.position, len(event.payload)) for event, _ in chunk]
                async for chunk in read_log(connection, 0, head - 1)
            ]
        finally:
            await connection.close()

    chunks = asyncio.run(read())
    assert [position for chunk in chunks for position, _ in chunk] == list(range(1, head))
    largest = max(size for chunk in chunks for _, size in chunk)
    assert largest > BYTES // 10
    assert sum(size for chunk in chunks for _, size in chunk) > 12 * BYTES
    # How large a packed payload is can only be estimated.
    for chunk in chunks:
        assert sum(size for _, size in chunk[:-1]) <= 3 * BYTES
