"""What the code writes and shows is what the corpus in tests/golden recorded, byte for byte."""

import json
from collections import Counter
from typing import Any

import pytest

from golden.record import HERE, INPUTS, files, stored_lines
from storelog.shop.events import EVENT_TYPES, KINDS

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


def test_the_corpus_has_every_older_schema_version() -> None:
    older = [json.loads(line) for line in stored_lines("older.jsonl")]
    recorded = {(payload["type"], payload["schemaVersion"]) for payload in older}
    wanted = {(kind.name, v) for kind in KINDS.values() for v in range(1, kind.version)}
    assert wanted <= recorded
