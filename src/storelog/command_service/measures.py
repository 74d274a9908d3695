"""What the Command Service counts: commands, batches and their parts, the queue, the log's head.

Next: command_service/pipeline.py
"""

from typing import Any

from storelog import tracing
from storelog.command_service import log_head, store
from storelog.command_service.reader import Reader
from storelog.command_service.remembered import Replay
from storelog.command_service.submission import Submission
from storelog.errors import Unavailable
from storelog.web.clock import PostgresClock
from storelog.web.http import Response
from storelog.web.metrics import SIZES, Counter, counter, gauge, histogram
from storelog.web.request_metrics import SERVER_ERRORS as SERVER_ERRORS

COMMANDS = counter(
    "storelog_commands_total",
    "Commands by outcome: accepted, refused, replayed or failed.",
    ("command", "outcome"),
)
BATCH_COMMANDS = histogram(
    "storelog_batch_commands", "Commands decided and committed together.", bounds=SIZES
).of()
BATCH_EVENTS = histogram(
    "storelog_batch_events", "Events that one batch appended.", bounds=SIZES
).of()
_PARTS = histogram(
    "storelog_batch_part_seconds",
    "Seconds of a batch's parts: load (state, responses and ids), decide, append (one commit).",
    ("part",),
)
LOAD, DECIDE, APPEND = _PARTS.of("load"), _PARTS.of("decide"), _PARTS.of("append")
CONFLICTS = counter(
    "storelog_batch_conflicts_total", "Batches decided again because another service wrote first."
).of()
DIVISIONS = counter(
    "storelog_batch_divisions_total", "Batches that failed, and were landed again in parts."
).of()
FAILED_ALONE = counter(
    "storelog_commands_failed_alone_total",
    "Commands that failed by themselves and got 500 `internal-error`; the log has each.",
    ("command",),
)
KEYS_REMOVED = counter(
    "storelog_idempotency_keys_removed_total", "Idempotency keys removed after they had expired."
).of()
KEYS = gauge(
    "storelog_idempotency_keys", "Idempotency keys that are remembered, by PostgreSQL's estimate."
).of()
KEYS_BYTES = gauge(
    "storelog_idempotency_keys_bytes", "Bytes of the remembered keys and responses, with indexes."
).of()
STAMPS_REFUSED = counter(
    "storelog_batch_stamps_refused_total",
    "Batches stamped again because they came late, or PostgreSQL's clock was set.",
).of()
LOG_AHEAD = gauge(
    "storelog_log_ahead_seconds",
    "How far the time of the log's last event is ahead of PostgreSQL's clock; 0: it is not.",
).of()
QUEUE_LENGTH = gauge("storelog_command_queue_length", "Commands that wait for their batch.").of()
QUEUE_WAIT = histogram(
    "storelog_command_queue_wait_seconds", "Seconds that a batch's oldest command had waited."
).of()
LOG_POSITION = gauge("storelog_log_position", "The position of the last event in the log.").of()
LEADS = gauge(
    "storelog_commands_lead", "1 for the Command Service that decides the commands of all, else 0."
).of()
HANDED_ON = counter(
    "storelog_commands_handed_on_total",
    "Commands that another Command Service decided: the leader.",
).of()
TAKEN_BACK = counter(
    "storelog_commands_taken_back_total",
    "Commands that were decided here after all, since the leader did not respond or did not lead.",
).of()
MAX_LOGGED_IDS = 10
_bound: dict[tuple[type, str], Counter] = {}


def count_commands(
    submissions: list[Submission], responses: list[Response] | None, began_ns: int = 0
) -> None:
    """Count the commands of one batch, and trace them; no responses: the batch failed."""
    BATCH_COMMANDS.observe(len(submissions))
    for number, submission in enumerate(submissions):
        kind = type(submission.command)
        outcome = "failed" if responses is None else _outcome(responses[number])
        bound = _bound.get((kind, outcome))
        if bound is None:
            bound = _bound[kind, outcome] = COMMANDS.of(kind.__name__, outcome)
        bound.add()
    if responses is not None and tracing.is_on():
        _trace(submissions, began_ns)


def _trace(submissions: list[Submission], began_ns: int) -> None:
    """Show in each traced command's trace the batch that committed it."""
    spans = tracing.BatchSpans("client", began_ns)
    for submission in submissions:
        spans.begin("append to the log", submission.traceparent, {"db.system.name": "postgresql"})
    spans.end({"storelog.batch.commands": len(submissions)})


def _outcome(response: Response) -> str:
    if isinstance(response, Replay):
        return "replayed"
    return "accepted" if response.status < 400 else "refused"


def who(submissions: list[Submission]) -> dict[str, Any]:
    """Return what a log line says about a batch: its size, and its commands' correlation ids."""
    ids = [submission.correlation_id for submission in submissions[:MAX_LOGGED_IDS]]
    return {"commands": len(submissions), "correlation_ids": ids}


async def measure(reader: Reader, clock: PostgresClock) -> None:
    """Read the log's head and the clock for a scrape; without PostgreSQL they are not known."""
    try:
        head = await reader.read(lambda connection: log_head.look(connection, clock))
        keys, size = await reader.read(store.size_of_keys)
    except Unavailable:
        # A gauge that keeps its last value would look healthy while PostgreSQL is away.
        LOG_POSITION.clear()
        for unknown in (LOG_AHEAD, KEYS, KEYS_BYTES):
            unknown.clear()
        return
    KEYS.set(keys)
    KEYS_BYTES.set(size)
    LOG_POSITION.set(head.position)
    LOG_AHEAD.set(clock.seconds_ahead(head.recorded_at))
