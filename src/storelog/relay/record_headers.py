"""The headers of an event's record in Kafka.

Next: relay/publisher.py
"""

from storelog import tracing
from storelog.envelope import HISTORY, RECORD, Envelope, format_exact_time, proof_of
from storelog.log_history import LogHistory
from storelog.relay.marks import previous_of

Header = tuple[str, str | bytes | None]


def record_headers(
    event: Envelope,
    aggregate: str,
    lane_previous: int,
    span: tracing.Span | None = None,
    history: LogHistory | None = None,
) -> list[Header]:
    """Return the contract's headers: CloudEvents 1.0 in binary mode, and the event's place.

    `span` is that of the sending, if it is traced: readers of the record continue below it. Records
    of a log's first history name no history, like those of earlier releases.
    """
    headers: list[Header] = [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(event.event_id).encode()),
        ("ce_source", b"/storelog"),
        ("ce_type", event.event_type.encode()),
        ("ce_time", format_exact_time(event.occurred_at).encode()),
        ("ce_subject", aggregate.encode()),
        ("content-type", b"application/json"),
        ("aggregate_version", b"%d" % event.version),
        ("position", b"%d" % event.position),
        ("lane_previous", b"%d" % lane_previous),
        ("hash", event.hash.hex().encode()),
        ("schema_version", b"%d" % event.schema_version),
        ("recorded_at", format_exact_time(event.recorded_at).encode()),
        ("correlation_id", event.correlation_id.encode()),
    ]
    traceparent = span.traceparent if span is not None else event.traceparent
    optional = [
        ("caller", event.caller),
        ("causation_id", event.causation_id),
        ("traceparent", traceparent),
    ]
    if traceparent != event.traceparent:
        optional.append(("log_traceparent", event.traceparent or ""))
    previous = previous_of(event)
    if previous is not None:
        before, own = previous.hex(), event.hash.hex()
        proof = proof_of(RECORD, before, own, event.position, lane_previous)
        optional += [("previous_hash", before), ("proof", proof)]
        if history is not None and history.number > 1:
            own_proof = proof_of(HISTORY, before, own, event.position, history.id)
            optional += [("history", history.id), ("history_proof", own_proof)]
    return headers + [(name, text.encode()) for name, text in optional if text is not None]
