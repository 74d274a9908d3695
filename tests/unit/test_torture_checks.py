"""The checks of `storelog torture` find what they look for: one planted fault each, in a small log.

The same log without the fault gives no breach, so that each breach is of what was planted.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from storelog.envelope import Envelope, utc_now
from storelog.torture.checks.endings import Ending, check_endings
from storelog.torture.checks.event_log import History
from storelog.torture.checks.responses import check_responses
from storelog.torture.ledger import RequestLedger, SeenResponse, SentRequest
from storelog.torture.report import TortureReport

Log = list[Envelope]
ITEMS = [
    {"itemId": 1, "productId": 1, "quantity": 3, "price": "1.125"},
    {"itemId": 2, "productId": 2, "quantity": 1, "price": "2"},
]
SOLD = {"productPrice": "1.125", "quantitySold": 3, "productTotalPrice": "3.375"}
# Cause, aggregate, event type, payload; a cause is one request.
EVENTS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("new-c", "customer-1", "CustomerCreated", {"customerId": 1}),
    ("new-1", "product-1", "ProductCreated", {"productId": 1, "stock": 10}),
    ("new-2", "product-2", "ProductCreated", {"productId": 2, "stock": 4}),
    ("order", "order-1", "OrderCreated", {"orderId": 1, "orderItems": ITEMS, "totalPrice": "5.38"}),
    ("order", "product-1", "ProductSold", SOLD | {"itemId": 1, "remainingStock": 7}),
    (
        "order",
        "product-2",
        "ProductSold",
        {"itemId": 2, "quantitySold": 1, "productPrice": "2", "productTotalPrice": "2"}
        | {"remainingStock": 3},
    ),
    (
        "adjust",
        "product-1",
        "ProductUpdated",
        {"productId": 1, "stock": 5, "reason": "StockAdjusted", "delta": -2},
    ),
    ("cancel", "order-1", "OrderDeleted", {"orderId": 1, "orderItems": ITEMS}),
    (
        "cancel",
        "product-1",
        "ProductUpdated",
        {"stock": 8, "reason": "OrderDeleted", "orderId": 1, "returned": [{"quantity": 3}]},
    ),
    (
        "cancel",
        "product-2",
        "ProductUpdated",
        {"stock": 4, "reason": "OrderDeleted", "orderId": 1, "returned": [{"quantity": 1}]},
    ),
    ("end-2", "product-2", "ProductDeleted", {"productId": 2}),
]
SENT = {
    "new-c": ("POST", "/customers", 201, 1),
    "new-1": ("POST", "/products", 201, 2),
    "new-2": ("POST", "/products", 201, 3),
    "order": ("POST", "/orders", 201, 6),
    "adjust": ("POST", "/products/1/stock-adjustments", 200, 7),
    "cancel": ("DELETE", "/orders/1", 204, 10),
    "end-2": ("DELETE", "/products/2", 204, 11),
}


def event(cause: str, aggregate: str, event_type: str, payload: dict[str, Any]) -> Envelope:
    kind, number = aggregate.split("-")
    raw, now = json.dumps(payload).encode(), utc_now()
    return Envelope(0, b"", UUID(int=0), kind, int(number), 0, event_type, 1, raw, now, now, cause)


def numbered(log: Log) -> Log:
    """Return the events with positions and versions as they must be."""
    versions: Counter[str] = Counter()
    for each in log:
        versions[each.aggregate] += 1
    seen: Counter[str] = Counter()
    done: Log = []
    for position, each in enumerate(log, 1):
        seen[each.aggregate] += 1
        done.append(replace(each, position=position, version=seen[each.aggregate]))
    return done


def good_log() -> Log:
    return numbered([event(*facts) for facts in EVENTS])


def good_requests() -> dict[str, SentRequest]:
    log = good_log()
    requests = {}
    for cause, (method, path, status, position) in SENT.items():
        first = next(each for each in log if each.correlation_id == cause)
        body = json.loads(first.payload) if status == 201 else None
        response = SeenResponse(status, body, position)
        requests[cause] = SentRequest(cause, method, path, None, f"key-{cause}", response)
    return requests


def changed(position: int, **changes: Any) -> Callable[[Log], Log]:
    """Change the payload of the event at the position."""

    def change(log: Log) -> Log:
        payload = json.loads(log[position - 1].payload) | changes
        log[position - 1] = replace(log[position - 1], payload=json.dumps(payload).encode())
        return log

    return change


def without(position: int) -> Callable[[Log], Log]:
    """Leave the event out, as if it had never been."""
    return lambda log: numbered([each for each in log if each.position != position])


def again(position: int, cause: str | None = None) -> Callable[[Log], Log]:
    """Write the event once more, at the end."""

    def write(log: Log) -> Log:
        twin = log[position - 1]
        return numbered([*log, replace(twin, correlation_id=cause or twin.correlation_id)])

    return write


def with_version(position: int, version: int) -> Callable[[Log], Log]:
    def change(log: Log) -> Log:
        log[position - 1] = replace(log[position - 1], version=version)
        return log

    return change


def history_of(log: Log) -> tuple[History, list[str]]:
    report = TortureReport(0, [], 0, False)
    history = History(report)
    history.fold(log)
    assert report.checked == {"events": len(log)}
    return history, report.breaches


def breaches_of(log: Log, requests: dict[str, SentRequest]) -> list[str]:
    report = TortureReport(0, [], 0, False)
    check_responses(log, requests, report)
    assert report.checked == {"requests": len(requests)}
    return report.breaches


def test_a_good_log_with_good_responses_has_no_breach() -> None:
    history, breaches = history_of(good_log())
    assert (breaches, history.orders, str(history.sales)) == ([], 0, "0")
    history, breaches = history_of(good_log()[:7])
    assert (breaches, history.orders, str(history.sales)) == ([], 1, "5.375")
    assert breaches_of(good_log(), good_requests()) == []


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (lambda log: log[:4] + log[5:], "is not the next position"),
        (lambda log: [*log, log[-1]], "is not the next position"),
        (with_version(7, 4), "should be version 3"),
        (with_version(7, 2), "should be version 3"),
        (again(3), "comes after a deletion"),
        (changed(5, quantitySold=11), "sells 11 of 10"),
        (changed(5, remainingStock=8), "should leave 7"),
        (changed(5, productTotalPrice="3.38"), "costs 3.375"),
        (changed(6, itemId=1), "sells a line twice"),
        (changed(4, totalPrice="5.37"), "costs 5.38"),
        (changed(7, stock=6), "should leave 5"),
        (changed(7, stock=-1, delta=-8), "leaves -1"),
        (changed(9, returned=[{"quantity": 4}]), "should give 3 back"),
        (changed(9, stock=9), "gives 3 back"),
        (changed(9, stock=9), "product 1: 8 put in, 0 sold, 9 left"),
        (without(9), "deleted order 1 gave nothing back of product 1"),
        (again(9), "should give None back"),
    ],
)
def test_a_fault_in_the_log_is_found(plant: Callable[[Log], Log], found: str) -> None:
    _, breaches = history_of(plant(good_log()))
    assert any(breach.endswith(found) for breach in breaches), breaches


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (lambda log: [e for e in log if e.correlation_id != "order"], "2xx and has no events"),
        (lambda log: log[:-1], "DELETE /products/2 (end-2): got 2xx and has no events"),
        (again(7), "stock-adjustments (adjust): got the position 7"),
        (lambda log: log[:5] + log[6:], "POST /orders (order): got the position 6"),
        (lambda log: log[:4] + log[5:], "POST /orders (order): should have"),
        (changed(1, name="Another"), "got another body than was written"),
        (again(7, "stranger"), "position 12 was caused by stranger, which nobody sent"),
    ],
)
def test_a_response_that_contradicts_the_log_is_found(
    plant: Callable[[Log], Log], found: str
) -> None:
    breaches = breaches_of(plant(good_log()), good_requests())
    assert any(found in breach for breach in breaches), breaches


def test_an_effect_of_a_rejected_command_is_found() -> None:
    requests = good_requests()
    requests["adjust"].response = SeenResponse(409, {"type": "/problems/insufficient-stock"}, 0)
    (breach,) = breaches_of(good_log(), requests)
    assert "(adjust): got 409 and yet has events: ['7 ProductUpdated']" in breach


@pytest.mark.parametrize("refusal", ["503 unavailable", "503 overloaded"])
def test_an_effect_of_a_command_that_was_turned_away_is_found(refusal: str) -> None:
    requests = good_requests()
    request = replace(requests["adjust"], response=None, key=None, troubles=[refusal])
    (breach,) = breaches_of(good_log(), requests | {"adjust": request})
    assert f"(adjust): got ['{refusal}'] and yet has events" in breach


@pytest.mark.parametrize("trouble", ["ConnectionResetError", "503 outcome-unknown"])
def test_a_command_without_a_response_happened_once_or_not_at_all(trouble: str) -> None:
    requests = good_requests()
    open_one = replace(requests["adjust"], response=None, key=None, troubles=[trouble])
    requests["adjust"] = open_one
    assert breaches_of(good_log(), requests) == []
    assert breaches_of([e for e in good_log() if e.correlation_id != "adjust"], requests) == []
    (breach,) = breaches_of(again(7)(good_log()), requests)
    assert "should have [('ProductUpdated', 'product-1')]" in breach


def test_a_command_with_a_key_whose_outcome_nobody_can_learn_is_found() -> None:
    requests = good_requests()
    lost = SentRequest("lost", "DELETE", "/orders/1", None, "key-lost", None, ["TimeoutError"])
    (breach,) = breaches_of(good_log(), requests | {"lost": lost})
    assert "(lost): its outcome cannot be learnt: ['TimeoutError']" in breach


FIRST = SeenResponse(201, {"orderId": 1}, 6)


@pytest.mark.parametrize(
    ("repeated", "is_breach"),
    [
        (replace(FIRST, is_replay=True), False),
        (FIRST, True),
        (replace(FIRST, is_replay=True, position=12), True),
        (replace(FIRST, is_replay=True, body={"orderId": 2}), True),
        (replace(FIRST, is_replay=True, status=409), True),
        (SeenResponse(503, {"type": "/problems/unavailable"}, 0), False),
    ],
)
def test_a_replay_with_another_response_is_found(
    tmp_path: Path, repeated: SeenResponse, is_breach: bool
) -> None:
    ledger = RequestLedger(tmp_path / "ledger.jsonl")
    request = SentRequest("order", "POST", "/orders", {}, "key-order")
    for response in (FIRST, repeated):
        ledger.begin(request, "http://command-service")
        ledger.end(request, response)
    ledger.close()
    assert [breach.split(" at ")[0] for breach in ledger.breaches] == [
        "request order got 201"
    ] * is_breach


LOST = "Kafka has lost events that were sent: topic OrderCreated was made again. Send them again."


@pytest.mark.parametrize(
    ("ending", "is_found"),
    [
        (Ending("relay-1", 3, LOST), False),
        (Ending("relay-1", 3, LOST.replace("OrderCreated", "OrderDeleted")), True),
        (
            Ending("relay-2", 3, "Kafka has seen position 7 of a log that this one does not reach"),
            True,
        ),
        (Ending("relay-2", 1, LOST), True),
        (Ending("projector-1", 3, LOST), True),
        (Ending("command-service-2", 0, ""), True),
    ],
)
def test_a_process_that_ends_by_itself_is_found_unless_a_deleted_topic_explains_it(
    ending: Ending, is_found: bool
) -> None:
    report = TortureReport(0, [], 0, False)
    check_endings([ending], {"OrderCreated"}, report)
    assert bool(report.breaches) == is_found
