"""What the benchmarks say follows from what they saw: a rate that holds, and how many have room."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import compared, scale, sustained
from benchmarks.figures import Figure, Report
from benchmarks.pace import Paced
from benchmarks.sustained import Try

GOOD = Try(
    300.0, Paced(Counter({201: 6_000}), [0.2] * 99 + [0.9], Counter({200: 100})), [0.1], 1, 1
)


def test_a_rate_holds_where_each_order_is_readable_in_time_and_the_lag_does_not_grow() -> None:
    assert GOOD.verdict == "holds"
    late = replace(GOOD.outcome, readable=[0.2] * 98 + [1.1, 1.1])
    assert "1,100 ms" in replace(GOOD, outcome=late).verdict
    refused = replace(GOOD.outcome, statuses=Counter({201: 5_999, 503: 1}))
    assert not replace(GOOD, outcome=refused).held
    unread = replace(GOOD.outcome, reads=Counter({200: 99, 503: 1}))
    assert not replace(GOOD, outcome=unread).held
    crowded = replace(GOOD.outcome, late=100)
    assert not replace(GOOD, outcome=crowded).held
    grew = replace(GOOD, lags=[0.1, 0.2, 0.4, 0.8, 1.6])
    assert grew.verdict == "does not hold: the lag grew"


@pytest.mark.parametrize("most", [20.0, 152.0, 437.0, 2_345.0])
def test_the_search_ends_within_six_percent_of_the_highest_rate_that_holds(
    most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[float] = []

    def try_rate(_system: object, rate: float, *_: float) -> Try:
        tried.append(rate)
        lags = GOOD.lags if rate <= most else [0.1, 5.0]
        return replace(GOOD, rate=rate, lags=lags)

    monkeypatch.setattr(sustained, "_try", try_rate)
    found = sustained._search(None, 5.0, 20.0)  # type: ignore[arg-type]
    assert most / sustained.CLOSE <= found <= most
    assert len(tried) <= sustained.MAX_TRIES


def test_a_machine_has_room_for_half_as_many_processes_of_a_kind_as_cores_but_two_at_least() -> (
    None
):
    assert [scale.at_most(cores) for cores in (1, 2, 4, 8, 12, 64)] == [2, 2, 2, 4, 6, 8]


def test_where_no_rate_holds_none_is_tried_for_the_whole_time() -> None:
    nobody: Any = None
    assert sustained._hold(nobody, nobody, nobody, 0.0, 10.0, 60.0) is None


def test_two_runs_stand_side_by_side_with_what_only_the_later_one_measured() -> None:
    before, after = Report({}), Report({})
    for report, rate, cpu in ((before, 1_500.0, 40.0), (after, 2_000.0, 50.0)):
        report.figures.append(Figure("orders", "accepted", rate, "/s", 4_000, ceiling=4_000))
        report.note_use("orders", {"relay": cpu}, {"relay": 90.0})
    after.figures.append(Figure("orders", "p99", 90.0, "ms", 50, True))
    page = {"page": "first page of /orders", "few_ms": 8.0, "many_ms": 10.0, "times": 1.25}
    before.lists.append(page | {"many_ms": 40.0})
    after.lists += [page, page | {"page": "first page of /products"}]

    runs = before.as_json(), after.as_json()
    assert list(compared.figures(*runs))[2:] == [
        "| orders: accepted | 1,500 /s | 2,000 /s | at least 4,000 | no | 4,000  | 50% |",
        "| orders: p99 |  | 90.00 ms | at most 50.00 | no |  |  |",
    ]
    assert list(compared.use(*runs))[2:] == ["| orders | 40; 50 |"]
    assert list(compared.lists(*runs))[2:] == [
        "| `first page of /orders` | 40.0 | 10.0 | 8.0 | 1.25 |",
        "| `first page of /products` | not measured | 10.0 | 8.0 | 1.25 |",
    ]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"figures": []}'])
def test_a_file_that_is_no_run_is_rejected_before_anything_is_shown(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text('{"figures": [], "use": {}}', "utf-8")
    bad.write_text(text, "utf-8")
    for before, after in ((bad, good), (good, bad), (good, tmp_path)):
        monkeypatch.setattr("sys.argv", ["compared", str(before), str(after)])
        with pytest.raises(SystemExit, match="2"):
            compared.main()
        printed = capsys.readouterr()
        assert not printed.out
        assert "is no bench.json of make bench" in printed.err
    monkeypatch.setattr("sys.argv", ["compared", str(good), str(good)])
    compared.main()
    assert "| page |" in capsys.readouterr().out
