"""Deadlines of `storelog torture`: 503 at once without PostgreSQL, a low lag after the faults."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self, cast

import pytest

from storelog.config import Settings
from storelog.errors import CannotRun
from storelog.lag import Lag
from storelog.torture import torture
from storelog.torture.checks import progress
from storelog.torture.faults import trial
from storelog.torture.faults.trial import Trial
from storelog.torture.ledger import RequestLedger
from storelog.torture.load import Shop, Shopper
from storelog.torture.report import TortureReport
from storelog.torture.rig import Rig
from storelog.torture.torture import Plan, Torture
from support.system import free_port


def empty_report() -> TortureReport:
    return TortureReport(0, [], 0, False)


@contextmanager
def service(status: int, slug: str, late_seconds: float = 0.0) -> Iterator[str]:
    """A Command Service that gives the same response to every request."""
    body = json.dumps({"type": f"/problems/{slug}", "customerId": 1}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            # The test is about a service that responds this late.
            threading.Event().wait(late_seconds)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *_: Any) -> None:
            """Nothing: what a test prints is its own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def refusals(url: str, home: Path) -> TortureReport:
    """Let a trial probe the service at the URL as if PostgreSQL were away."""
    ledger, report = RequestLedger(home / "ledger.jsonl"), empty_report()
    prober = Shopper("0-probe", Shop(), [url], ledger)
    # No probe of a command needs the system around the service.
    rig = cast(Rig, None)
    Trial(
        rig, ledger, prober, random.Random(0), report, threading.Event()
    ).expect_commands_rejected_in_time("PostgreSQL is away")
    ledger.close()
    return report


@pytest.mark.parametrize("slug", ["unavailable", "overloaded"])
@pytest.mark.alone
def test_an_immediate_rejection_keeps_the_promise(tmp_path: Path, slug: str) -> None:
    with service(503, slug) as url:
        report = refusals(url, tmp_path)
    assert report.breaches == []


@pytest.mark.parametrize(
    ("status", "slug"),
    [
        (503, "outcome-unknown"),
        (500, "unavailable"),
        (502, "bad-gateway"),
        (409, "idempotency-in-progress"),
        (409, "insufficient-stock"),
        (201, ""),
    ],
)
def test_any_other_response_without_postgresql_is_a_breach(
    tmp_path: Path, status: int, slug: str
) -> None:
    with service(status, slug) as url:
        breaches = refusals(url, tmp_path).breaches
    assert len(breaches) == trial.PROBES
    assert all("PostgreSQL is away: POST /customers was not rejected" in b for b in breaches)
    assert all(str(status) in breach for breach in breaches)


def test_a_connection_that_is_refused_is_no_503(tmp_path: Path) -> None:
    with service(503, "unavailable") as url:
        pass
    breaches = refusals(url, tmp_path).breaches
    assert len(breaches) == trial.PROBES
    assert all("ConnectionRefusedError" in breach for breach in breaches)


@pytest.mark.alone
def test_rejections_that_take_longer_than_promised_are_a_breach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "REJECTED_WITHIN_SECONDS", 0.1)
    with service(503, "unavailable", late_seconds=0.15) as url:
        (breach,) = refusals(url, tmp_path).breaches
    assert breach.startswith("PostgreSQL is away: 503 took 0.")


LOW, HIGH = Lag(9, 9, 8, 1, 0.4, 0), Lag(9, 9, 1, 8, 2.5, 0)


@pytest.fixture
def lags(monkeypatch: pytest.MonkeyPatch) -> list[Lag | None]:
    """The next readings of the lag; None: a server cannot be reached."""
    to_come: list[Lag | None] = []
    monkeypatch.setattr(progress, "_lag", lambda _: to_come.pop(0))
    monkeypatch.setattr(progress, "_POLL_SECONDS", 0.0)
    return to_come


def lag_checked(ended_seconds_ago: float = 0.0) -> TortureReport:
    report = empty_report()
    progress.check_lag(Settings(), report, time.monotonic() - ended_seconds_ago)
    return report


def test_three_low_readings_in_a_row_are_wanted(lags: list[Lag | None]) -> None:
    lags += [HIGH, LOW, LOW, HIGH, LOW, None, LOW, LOW, LOW, HIGH]
    report = lag_checked()
    assert lags == [HIGH]
    assert (report.breaches, report.lag_seconds) == ([], 0.4)


def test_a_lag_that_gets_low_too_late_after_the_faults_is_a_breach(lags: list[Lag | None]) -> None:
    lags += [LOW, LOW, LOW]
    assert lag_checked(20).breaches == []
    lags += [HIGH, LOW, LOW, LOW]
    report = lag_checked(31)
    assert report.breaches == ["the lag was under 2.0 s only 31 s after the faults"]
    assert report.settled_seconds >= 31


@pytest.mark.parametrize("last", [HIGH, LOW, None])
def test_a_lag_that_never_stays_low_ends_the_wait_with_a_breach(
    lags: list[Lag | None], last: Lag | None
) -> None:
    lags += [last]
    (breach,) = lag_checked(progress.PATIENCE_SECONDS + 1).breaches
    assert breach == f"121 s after the faults the lag is {last}"


class Fallen:
    """A system whose processes do not get ready again after the faults."""

    def __init__(self, *_: object) -> None:
        self.settings = Settings()
        self.command_urls = [f"http://127.0.0.1:{free_port()}"]
        self.kills = self.endings = Counter[str]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing runs."""

    def repair(self) -> None:
        """No wire is there."""

    def wait_ready(self, _: object) -> None:
        raise CannotRun("relay-1 does not get ready")


def test_a_system_that_does_not_get_ready_after_the_faults_is_a_breach_and_nothing_found_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lags: list[Lag | None]
) -> None:
    lags += [None]
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(torture, "Rig", Fallen)
    facts = Torture(Plan(0, [], 1, is_once=True), tmp_path, lambda _: None).run()
    assert facts["breaches"] == [
        "0 s after the faults the lag is None",
        "after the faults: relay-1 does not get ready",
    ]


def test_a_log_that_cannot_be_read_is_an_error_in_words() -> None:
    nowhere = Settings(postgres_url=f"postgresql://x@127.0.0.1:{free_port()}/x")
    with pytest.raises(CannotRun, match="PostgreSQL cannot be reached"):
        progress.whole_log(nowhere)
