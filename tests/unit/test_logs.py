"""Logs: one line an event, no flood, nothing that servers quote of the data."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from storelog.config import Settings
from storelog.web import logs

ROW = (
    "new row violates check\nDETAIL:  Failing row contains (1, Ann Miller, ann@example.com).\n"
    "HINT:  none"
)
DOCUMENT = "batch op errors occurred, full error: {'op': {'name': 'Ann Miller'}}"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_flood_of_one_event_is_cut_and_counted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("storelog.web.logs.time.monotonic", lambda: now)
    logs.set_up_logs(Settings(log_format="json"))
    log = structlog.get_logger()
    for number in range(1000):
        log.warning("rubbish came in", number=number)
        logging.getLogger("kafka").error(f"connect failed after {number} ms")
    log.warning("something else")
    assert len(lines_of(capsys)) == 2 * logs.MAX_LINES + 1
    now = logs.WINDOW_SECONDS + 1
    log.warning("rubbish came in")
    logging.getLogger("kafka").error("connect failed after 7 ms")
    own, library = [json.loads(line) for line in lines_of(capsys)]
    assert own["more_like_this"] == 1000 - logs.MAX_LINES
    assert f"{1000 - logs.MAX_LINES} more like this" in library["event"]


def fail(depth: int) -> None:
    if depth:
        raise ValueError(ROW)
    raise KeyError(depth)


def test_each_failure_that_a_client_is_told_of_has_its_line_and_a_repeated_traceback_is_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.set_up_logs(Settings(log_format="json"))
    for number in range(100):
        for depth in (0, 1):
            try:
                fail(depth)
            except (ValueError, KeyError) as error:
                cause = error if number % 2 else True
                structlog.get_logger().error(
                    "a command failed", exc_info=cause, correlation_id=f"{number}", is_always=True
                )
    lines = [json.loads(line) for line in lines_of(capsys)]
    assert [line["correlation_id"] for line in lines] == [f"{n // 2}" for n in range(200)]
    assert all("Traceback" in line["exception"] for line in lines[: 2 * logs.MAX_LINES])
    for line in lines[2 * logs.MAX_LINES :]:
        assert "exception" not in line
        assert line["error"] in ("ValueError: new row violates check\\nHINT:  none", "KeyError: 0")
    assert not any("is_always" in line or "Ann" in str(line) for line in lines)


@pytest.mark.parametrize("log_format", ["json", "human"])
def test_what_servers_quote_of_the_data_is_cut_out(
    log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.set_up_logs(Settings(log_format=log_format))
    for text in (ROW, DOCUMENT):
        try:
            raise ValueError(text)
        except ValueError as error:
            structlog.get_logger().exception("it failed", error=str(error))
            logging.getLogger("library").exception("it failed there")
    said = capsys.readouterr().err
    assert "Ann" not in said
    assert "violates check" in said
    assert "batch op errors" in said


@pytest.mark.parametrize("log_format", ["json", "human"])
def test_text_from_outside_cannot_begin_a_line(
    log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.set_up_logs(Settings(log_format=log_format))
    structlog.get_logger().warning("dead letter", key="product-1\n2026 [error] forged\x1b[2J")
    (line,) = lines_of(capsys)
    assert "forged" in line
    assert "\x1b" not in line


def test_the_level_holds_and_json_has_level_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up_logs(Settings(log_format="json", log_level="warning"))
    structlog.get_logger().info("not shown")
    structlog.get_logger().warning("shown", correlation_id="c-1")
    (line,) = lines_of(capsys)
    found = json.loads(line)
    assert (found["event"], found["level"], found["correlation_id"]) == ("shown", "warning", "c-1")
    assert found["timestamp"].endswith("Z")
