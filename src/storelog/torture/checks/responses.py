"""Compares every response in the ledger with the log: each 2xx has exactly its events, others none.

An event's correlation id is the id of the request that caused it, however often it was repeated.
Next: torture/checks/event_log.py
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from storelog.envelope import Envelope
from storelog.torture.ledger import SentRequest
from storelog.torture.report import TortureReport


def check_responses(
    log: Sequence[Envelope], requests: Mapping[str, SentRequest], report: TortureReport
) -> None:
    """Compare all responses with the events that were written."""
    caused: dict[str, list[Envelope]] = defaultdict(list)
    for event in log:
        caused[event.correlation_id].append(event)
    for request in requests.values():
        report.count("requests", 1)
        events = caused.pop(request.request_id, [])
        wrong = _wrong(request, events)
        if wrong:
            kinds = [f"{e.position} {e.event_type}" for e in events]
            report.breach(
                f"{request.method} {request.path} ({request.request_id}): {wrong}: {kinds}"
            )
    for cause, events in caused.items():
        report.breach(f"position {events[0].position} was caused by {cause}, which nobody sent")


def _wrong(request: SentRequest, events: Sequence[Envelope]) -> str:
    """Return how a request and its events contradict each other, empty if they agree."""
    response = request.response
    if response is None and request.key is not None:
        return f"its outcome cannot be learnt: {request.troubles}"
    if not request.may_have_happened:
        told = response.status if response else request.troubles
        return f"got {told} and yet has events" if events else ""
    # Without a response it may have been lost on the way, so no events are fine.
    if not events:
        return "got 2xx and has no events" if response is not None else ""
    payload = json.loads(events[0].payload)
    if response is not None and response.position != events[-1].position:
        return f"got the position {response.position}"
    if response is not None and response.status == 201 and response.body != payload:
        return "got another body than was written"
    expected = _expected(request, payload, events)
    found = [(event.event_type, event.aggregate) for event in events]
    return "" if found == expected else f"should have {expected}"


def _expected(
    request: SentRequest, first: Mapping[str, Any], events: Sequence[Envelope]
) -> list[tuple[str, str]]:
    """Return the types and aggregates that a command's events must have, in order."""
    kind = request.path.split("/")[1].removesuffix("s")
    number = first[f"{kind}Id"]
    ending = {"POST": "Created", "PUT": "Updated", "DELETE": "Deleted"}[request.method]
    if request.path.endswith("/stock-adjustments"):
        ending = "Updated"
    own = (f"{kind.capitalize()}{ending}", f"{kind}-{number}")
    if kind != "order":
        return [own]
    products = [item["productId"] for item in first["orderItems"]]
    if request.method == "POST":
        return [own, *(("ProductSold", f"product-{each}") for each in products)]
    # A deleted product takes nothing back. Which ones were deleted is checked in event_log.py.
    returned = {event.aggregate for event in events[1:]}
    given = dict.fromkeys(f"product-{each}" for each in products)
    return [
        own,
        *(("ProductUpdated", each) for each in sorted(given, key=_number) if each in returned),
    ]


def _number(aggregate: str) -> int:
    return int(aggregate.rpartition("-")[2])
