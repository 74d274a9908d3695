"""How topics made by other tools are judged: which settings are errors, which are warnings."""

from types import SimpleNamespace

import pytest

from storelog.config import Settings
from storelog.errors import CannotRun
from storelog.relay.topic_settings import judge
from storelog.relay.topics import check_partitions
from storelog.shop.events import EVENT_TYPES

AS_MADE_BY_US = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "max.message.bytes": "8388608",
    "min.insync.replicas": "2",
}


def metadata_of(*copies: int, brokers: int = 3) -> SimpleNamespace:
    """Return a broker's metadata of the topic `T` with so many copies of each partition."""
    parts = {n: SimpleNamespace(replicas=list(range(many))) for n, many in enumerate(copies)}
    topics = {"T": SimpleNamespace(partitions=parts)}
    return SimpleNamespace(brokers=dict.fromkeys(range(brokers)), topics=topics)


def judged(
    changes: dict[str, str], copies: int = 3, brokers: int = 3
) -> tuple[list[str], list[str]]:
    config, known = AS_MADE_BY_US | changes, metadata_of(copies, copies, brokers=brokers)
    found = judge(["T", "not asked about"], {"T": config}, known)
    return list(found.errors), list(found.warnings)


def test_topics_as_migrate_makes_them_are_neither_rejected_nor_warned_of() -> None:
    assert judged({}) == ([], [])
    assert judged({"min.insync.replicas": "1"}, copies=1, brokers=1) == ([], [])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cleanup.policy": "compact"}, "cleanup.policy=delete on T"),
        ({"cleanup.policy": "compact,delete"}, "cleanup.policy=delete on T"),
        ({"max.message.bytes": "1048588"}, "max.message.bytes=8388608 on T"),
    ],
)
def test_a_topic_setting_that_keeps_events_from_being_applied_is_an_error_with_what_to_set(
    changes: dict[str, str], said: str
) -> None:
    refused, warnings = judged(changes)
    assert len(refused) == 1 and said in refused[0]
    assert warnings == []


@pytest.mark.parametrize(
    ("copies", "changes", "said"),
    [
        (3, {"retention.ms": "604800000"}, "keeps only 168 hours"),
        (3, {"retention.bytes": "1000000"}, "keeps only 1,000,000 bytes of each partition"),
        (3, {"min.insync.replicas": "1"}, "2 is safer"),
        (3, {"min.insync.replicas": "3"}, "while one broker is away no event leaves the log"),
        (1, {"min.insync.replicas": "2"}, "accepts no record at all"),
    ],
)
def test_what_a_setting_costs_is_said(copies: int, changes: dict[str, str], said: str) -> None:
    refused, warnings = judged(changes, copies, brokers=copies)
    assert refused == []
    assert len(warnings) == 1 and said in warnings[0]


@pytest.mark.parametrize("copies", [(1, 1), (3, 1, 3)])
def test_one_copy_on_several_brokers_is_told_of_the_topic_itself_and_not_of_the_setting(
    copies: tuple[int, ...],
) -> None:
    # Nothing is known of its settings, which the account may not read.
    found = judge(["T", "not there"], {}, metadata_of(*copies))
    assert found.errors == []
    (said,) = found.warnings
    assert "topic T has one copy on 3 brokers" in said and "give 3 copies to T " in said
    assert judge(["T"], {}, metadata_of(3, 3)).warnings == []
    assert judge(["T"], {}, metadata_of(1, 1, brokers=1)).warnings == []


def test_wrong_numbers_of_partitions_are_told_with_the_topics_and_what_each_needs() -> None:
    settings = Settings(kafka_topic_prefix="eu-")
    made = {f"eu-{name}": 3 for name in (*EVENT_TYPES, "storelog.watermarks")}
    keys = "eu-storelog.keys"
    for found in ({}, {**made, keys: 1}, {"eu-OrderCreated": 5, keys: 1}):
        check_partitions(settings, found, 3)
    few = {**made, keys: 1, "eu-OrderCreated": 1, "eu-storelog.watermarks": 2}
    said = "has 1 of the 3 partitions .*: give 3 to eu-OrderCreated, eu-storelog.watermarks$"
    with pytest.raises(CannotRun, match=f"topic eu-OrderCreated {said}"):
        check_partitions(settings, few, 3)
    with pytest.raises(CannotRun, match=f"topic {keys} has 3 partitions and needs exactly 1"):
        check_partitions(settings, {**made, keys: 3}, 3)
