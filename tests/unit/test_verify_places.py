"""What verify holds a lane's checkpoint to, without a server."""

from datetime import UTC, datetime
from typing import Any

import pytest

from storelog.verify.places import Places
from storelog.verify.report import Report

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)
EMPTY: dict[str, Any] = {
    "_id": 0,
    "position": 0,
    "hash": "",
    "safe": 0,
    "safeRecordedAt": None,
    "highestCustomer": 0,
    "highestProduct": 0,
    "oldestOrder": None,
    "newestOrder": None,
    "momentBlocks": 0,
    "moments": b"",
    "lanes": 1,
}


@pytest.mark.parametrize(
    ("read_at", "is_right"),
    [
        (None, True),
        ("2026-01-02T03:04:05.678Z", True),
        ("2026-01-02T03:04:05.679Z", False),
        ("2026-01-02T03:04:35.678Z", False),
    ],
)
def test_a_checkpoint_that_says_it_was_read_later_than_now_is_a_difference(
    read_at: str | None, is_right: bool
) -> None:
    report = Report()
    Places(report, [{**EMPTY, "readAt": read_at}], 1).finish(0, NOW)
    assert [d["field"] for d in report.differences] == ([] if is_right else ["readAt"])
