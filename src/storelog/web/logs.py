"""Structured logs on stderr, for people or as JSON lines.

Guarantees that bad input cannot flood them (MAX_LINES of one event in WINDOW_SECONDS, then a
count), that no text from outside begins a line, and that rows and documents which servers quote in
their errors (names, addresses) are cut out. An error that a client was told of (`is_always`) always
has its line; only its traceback is limited. Libraries' logs go the same way.
Next: web/server.py
"""

import logging
import re
import sys
import time
import traceback
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from storelog.config import Settings

MAX_LINES = 20
WINDOW_SECONDS = 10.0
MAX_EVENTS = 1_000
MAX_ERROR_CHARACTERS = 500
# PostgreSQL's DETAIL quotes the row, MongoDB's "full error" the document.
_QUOTED = re.compile(r", full error: .*|\n(?:DETAIL|CONTEXT):.*")


class Flood:
    """Passes MAX_LINES of each event in a window; the first one after it counts the rest."""

    def __init__(self) -> None:
        self._windows: dict[str, tuple[float, int]] = {}

    def passes(self, event: str) -> int | None:
        """Return None to drop the line, else how many like it were dropped before."""
        now = time.monotonic()
        began, seen = self._windows.get(event, (now, 0))
        dropped = 0
        if now - began > WINDOW_SECONDS:
            dropped = max(0, seen - MAX_LINES)
            began, seen = now, 0
        # Event names from outside must not fill the memory; forgetting them only resets the limit.
        if len(self._windows) >= MAX_EVENTS:
            self._windows.clear()
        self._windows[event] = (began, seen + 1)
        return dropped if seen < MAX_LINES else None


class _LibraryFlood(logging.Filter):
    """The same limit for lines that libraries log."""

    def __init__(self) -> None:
        super().__init__()
        self._flood = Flood()

    def filter(self, record: logging.LogRecord) -> bool:
        # Numbers (ports, times, counts) do not make two lines different.
        dropped = self._flood.passes(re.sub(r"\d+", "#", f"{record.name} {record.msg}"[:200]))
        if dropped:
            record.msg = f"{record.msg} (and {dropped} more like this)"
        return dropped is not None


def set_up_logs(settings: Settings) -> None:
    """Send every log line to stderr, of the settings' level and format."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    is_json = settings.log_format == "json"
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = [
        structlog.processors.format_exc_info,
        without_quotes,
        structlog.processors.JSONRenderer() if is_json else _for_people(),
    ]
    structlog.configure(
        processors=[_limited(), *shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_LibraryFlood())
    drop_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[drop_meta, *last],
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def _for_people() -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
    )


def _limited() -> Processor:
    flood = Flood()

    def limit(_logger: Any, _method: str, event: EventDict) -> EventDict:
        if event.pop("is_always", False):
            return _folded(flood, event)
        dropped = flood.passes(str(event["event"])[:200])
        if dropped is None:
            raise structlog.DropEvent
        if dropped:
            event["more_like_this"] = dropped
        return event

    return limit


def _folded(flood: Flood, event: EventDict) -> EventDict:
    """Leave out the traceback of an error that was raised at the same place many times before."""
    cause = event.get("exc_info")
    if cause is True:
        cause = sys.exception()
    if cause is not None:
        *_, place = "", *traceback.extract_tb(cause.__traceback__)
        if flood.passes(f"{event['event']} {type(cause).__name__} {place}") is None:
            del event["exc_info"]
            event["error"] = f"{type(cause).__name__}: {cause}"[:MAX_ERROR_CHARACTERS]
    return event


def without_quotes(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Cut out data that servers quote, and escape what would begin a new line."""
    for name, value in event.items():
        if not isinstance(value, str):
            continue
        text = _QUOTED.sub("", value)
        if name != "exception" and not text.isprintable():
            text = text.encode("unicode_escape").decode("ascii")
        event[name] = text
    return event
