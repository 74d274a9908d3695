"""How topics made by other tools are judged: which settings are errors, which are warnings."""

from types import SimpleNamespace

import pytest

from storelog.relay.topic_settings import judge

AS_MADE_BY_US = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "max.message.bytes": "8388608",
    "min.insync.replicas": "2",
}


def judged(changes: dict[str, str], copies: int = 3) -> tuple[list[str], list[str]]:
    config = AS_MADE_BY_US | changes
    partition = SimpleNamespace(replicas=list(range(copies)))
    known = {"T": SimpleNamespace(partitions={0: partition})}
    found = judge(["T", "not asked about"], {"T": config}, known)
    return list(found.errors), list(found.warnings)


def test_topics_as_migrate_makes_them_are_neither_rejected_nor_warned_of() -> None:
    assert judged({}) == ([], [])
    assert judged({"min.insync.replicas": "1"}, copies=1) == ([], [])


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
    refused, warnings = judged(changes, copies)
    assert refused == []
    assert len(warnings) == 1 and said in warnings[0]
