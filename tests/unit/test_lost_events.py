"""Which of Kafka's records the log has lost: those that follow it by their hashes."""

from storelog.log_history import LogHistory
from storelog.projector.receive.record import Record, make_record
from storelog.relay.sending import BATCH_EVENTS
from storelog.upkeep.lost_events import Records, following

FIRST = LogHistory("1e6f3a52-5f6e-4a06-8ad3-0a8b2c7d9e10")
UNKNOWN = "2e6f3a52-5f6e-4a06-8ad3-0a8b2c7d9e10"


def hash_of(chain: str, position: int) -> str:
    """A made-up hash; every chain has the log's event 10."""
    return f"{chain if position > 10 else 'a'}{position:x}".rjust(64, "0")


def record(chain: str, position: int, history: str | None = None) -> Record:
    headers = {
        "position": str(position),
        "lane_previous": "0",
        "aggregate_version": "1",
        "schema_version": "1",
        "hash": hash_of(chain, position),
        "previous_hash": hash_of(chain, position - 1),
        "correlation_id": "c",
        "recorded_at": "2026-01-01T00:00:00.000Z",
    }
    if history is not None:
        headers["history"] = history
    pairs = [(name, text.encode()) for name, text in headers.items()]
    return make_record("OrderCreated", 0, position, "order-1", b"", pairs)


def records(*some: Record) -> Records:
    found: Records = {}
    for each in some:
        found.setdefault(each.position, {})[each.hash] = each
    return found


def lost(*some: Record) -> list[str]:
    return [each.hash for each in following(records(*some), [FIRST], 10, hash_of("a", 10))]


def chain(name: str, *positions: int) -> list[str]:
    return [hash_of(name, position) for position in positions]


def test_what_follows_the_log_is_lost_in_order() -> None:
    some = [record("a", position) for position in (13, 9, 11, 12, 10)]
    assert lost(*some) == chain("a", 11, 12, 13)


def test_another_shops_events_at_the_same_positions_are_not_taken_for_lost_ones() -> None:
    others = [record("b", position) for position in range(12, 20)]
    wrong = record("b", 11)
    wrong.named["previous_hash"] = hash_of("b", 99).encode()
    assert lost(wrong, *others) == []
    assert lost(record("a", 11), wrong, *others, record("a", 12)) == chain("a", 11, 12)


def test_what_a_dying_relay_left_out_hides_no_event_behind_it() -> None:
    some = [record("a", position) for position in (11, 14, 15)]
    assert lost(*some) == chain("a", 11, 14, 15)
    assert lost(record("a", 11), record("a", 12 + BATCH_EVENTS)) == chain("a", 11)


def test_where_two_histories_go_on_from_one_event_the_one_that_the_log_lacks_is_the_later() -> None:
    left = [record("a", position) for position in (11, 12, 13)]
    later = [record("b", position, UNKNOWN) for position in (11, 12)]
    # The log's event 13 follows a lost one that was left.
    assert lost(*left, *later) == chain("b", 11, 12)
    assert lost(*later, *left) == chain("b", 11, 12)
