"""What the code writes and shows is what the corpus in tests/golden recorded, byte for byte."""

import json
from collections import Counter
from typing import Any

import pytest

from golden.inputs import WANTED, missing_older, missing_requests
from golden.record import HERE, INPUTS, files, read_lines, stored_lines
from storelog.shop.events import EVENT_TYPES, KINDS
from support.golden import Shop

RECORDED = sorted(path.name for path in HERE.glob("*.jsonl") if path.name not in INPUTS)
LEAST_OF_A_KIND = 30
SHOWN = 3


@pytest.fixture(scope="module")
def made() -> dict[str, list[str]]:
    return files()


def apart(before: Any, after: Any) -> str:
    """Return both values from shortly before where they differ."""
    was, is_now = str(before), str(after)
    pairs = enumerate(zip(was, is_now, strict=False))
    first = next((at for at, (one, other) in pairs if one != other), len(was))
    start = max(first - 40, 0)
    return f"{was[start : start + 100]!r} became {is_now[start : start + 100]!r}"


def differences(recorded: list[str], now: list[str]) -> list[str]:
    """Return how lines differ: of the first ones their number, and each part that differs."""
    found = [f"{len(recorded)} lines were recorded, now there are {len(now)}"]
    found *= len(recorded) != len(now)
    for number, (before, after) in enumerate(zip(recorded, now, strict=False), 1):
        if before == after or len(found) > SHOWN:
            continue
        was, is_now = json.loads(before), json.loads(after)
        names = [name for name in was | is_now if was.get(name) != is_now.get(name)]
        parts = [f"{name}: {apart(was.get(name), is_now.get(name))}" for name in names]
        found.append(f"line {number}: {'; '.join(parts) or 'the order of members'}")
    return found


@pytest.mark.parametrize("name", RECORDED)
def test_what_is_written_and_shown_is_as_it_was_recorded(
    name: str, made: dict[str, list[str]]
) -> None:
    found = differences(stored_lines(name), made.get(name, []))
    assert not found, "\n".join([f"{name}: see tests/golden/README.md", *found])


def test_all_that_is_made_is_recorded(made: dict[str, list[str]]) -> None:
    assert sorted(made) == RECORDED


def test_the_corpus_has_many_values_of_every_kind_of_event() -> None:
    events = [json.loads(line) for line in stored_lines("events.jsonl")]
    kinds = Counter(event["log"]["event_type"] for event in events if "log" in event)
    assert set(kinds) == set(EVENT_TYPES)
    assert min(kinds.values()) >= LEAST_OF_A_KIND, kinds


def test_no_route_that_writes_is_without_requests() -> None:
    assert not list(missing_requests(read_lines("requests.jsonl"))), "run `make golden`"


def test_a_route_without_requests_gets_some_that_each_cause_an_event() -> None:
    orders = [r for r in read_lines("requests.jsonl") if r["path"].startswith("/orders")]
    requests = list(missing_requests(orders))
    made = Counter(request["correlationId"].rpartition(" ")[0] for request in requests)
    assert {"POST /customers", "PUT /products/{productId}"} < made.keys()
    assert set(made.values()) == {WANTED}
    shop = Shop()
    assert all(shop.send(request)[1] for request in requests)
    assert list(missing_requests(orders)) == requests


def test_a_schema_version_that_is_no_longer_written_is_kept_by_its_newest_payload() -> None:
    older = [each for each in read_lines("older.jsonl") if each["type"] != "ProductUpdated"]
    assert not list(missing_older(older, read_lines("events.jsonl")))
    log = {"aggregate_type": "product", "aggregate_id": 5, "event_type": "ProductUpdated"}
    at = {"schema_version": 2, "recorded_at": "2026-02-01T23:59:58.005000+00:00"}
    event = {"log": log | at, "payload": '{"productId":5}'}
    assert list(missing_older(older, [event | {"payload": "9 bytes"}, event, {"lines": 2}])) == [
        {
            "type": "ProductUpdated",
            "schemaVersion": 2,
            "aggregate": "product-5",
            "recordedAt": "2026-02-01T23:59:58.005000Z",
            "payload": '{"productId":5}',
        }
    ]


def test_the_corpus_has_every_older_schema_version() -> None:
    older = [json.loads(line) for line in stored_lines("older.jsonl")]
    recorded = {
        (payload["type"], payload["schemaVersion"])
        for payload in older
        if "onlyOlder" not in payload
    }
    wanted = {(kind.name, v) for kind in KINDS.values() for v in range(1, kind.version)}
    assert wanted <= recorded
