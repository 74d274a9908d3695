"""A backlog of the largest orders goes through the pipeline in a bounded part of memory."""

import threading
from concurrent.futures import ThreadPoolExecutor

import psutil

from storelog.config import Settings
from support.load import place_orders
from support.system import System, wait_for

ORDERS, LINES = 100, 2_000
# The process itself takes about 70 MiB. It took 344 of these orders when a reading of the log had
# 4,000 events of any size, and more of more orders; it took 154 with a limit of bytes.
RELAY_MIB = 200


def sampled_mib(pid: int, is_over: threading.Event) -> float:
    """Return the most memory that the process had until it was over, in MiB."""
    process, most = psutil.Process(pid), 0
    while not is_over.wait(0.01):
        most = max(most, process.memory_info().rss)
    return most / 2**20


def test_a_backlog_of_the_largest_orders_takes_little_memory(settings: Settings) -> None:
    with System(settings, ("command-service",)) as system:
        customer = system.new_customer()["customerId"]
        product = system.new_product(name="a long name " * 16, stock=1_000_000_000)["productId"]
        items = [{"productId": product, "quantity": 1}] * LINES
        body = {"customerId": customer, "orderItems": items}
        statuses, answers = place_orders([system.commands.url], [body] * ORDERS, 4, seconds=240)
        assert statuses == {201: ORDERS}

        def delete(order: int) -> int:
            return system.commands.delete(f"/orders/{order}").status

        with ThreadPoolExecutor(4) as pool:
            gone = list(pool.map(delete, (answer["orderId"] for answer in answers)))
        assert gone == [204] * ORDERS
        written = system.written()
        is_over = threading.Event()
        system.start("relay")
        with ThreadPoolExecutor(1) as pool:
            most = pool.submit(sampled_mib, system.pid("relay"), is_over)
            sent = "SELECT position FROM relay_cursor"
            try:
                wait_for(lambda: system.sql(sent)[0]["position"] >= written, "the relay", 120)
            finally:
                is_over.set()
        assert most.result() < RELAY_MIB
