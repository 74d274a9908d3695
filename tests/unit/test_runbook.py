"""Each section of the runbook, and each command in it, is run by a test that is named here."""

import ast
import re

import pytest

from support.parsed import ROOT, nodes

# A section without commands has a test, too.
TESTED: dict[str, tuple[str, ...]] = {
    "First look": (
        "test_it_starts_everything_once_and_down_leaves_nothing",
        "test_lag_is_zero_once_everything_is_projected",
        "test_verify_says_yes_and_names_what_it_checked",
    ),
    "Does it hold on this machine?": (
        "test_every_promise_holds_through_each_fault_once",
        "test_json_says_what_was_asked_for",
    ),
    "The lag grows": (
        "test_a_record_sent_again_from_the_log_fills_a_gap",
        "test_lanes_are_raised_under_load_with_many_of_each",
    ),
    "A dead letter": (
        "test_each_kind_of_poison_is_a_dead_letter_and_is_replayed_from_the_log",
        "test_what_is_discarded_is_left_out_alike_of_documents_totals_verify_and_rebuilds",
    ),
    "Foreign records": (
        "test_thousands_of_foreign_records_hold_up_no_customer_and_end_with_one_command",
        "test_events_that_the_relay_has_not_sent_yet_can_be_sent",
        "test_the_documented_commands_leave_no_difference",
    ),
    "The read model is wrong, or its shape is new": (
        "test_a_rebuilt_read_model_recovers_and_can_be_rolled_back",
        "test_an_interrupted_rebuild_goes_on_and_an_abandoned_promotion_ends",
        "test_an_emptied_read_model_is_filled_again_with_its_totals",
        "test_everything_comes_back_from_a_base_backup_of_postgresql_alone",
    ),
    "PostgreSQL was restored": (
        "test_a_restored_dump_goes_on_and_an_older_one_is_rejected",
        "test_recover_appends_what_is_unchanged_names_the_rest_and_all_processes_go_on",
        "test_a_standby_that_lacks_commits_is_promoted_under_load_and_nothing_is_lost_unnamed",
        "test_everything_comes_back_from_a_base_backup_of_postgresql_alone",
        "test_state_tables_that_differ_become_what_the_log_says",
        "test_a_key_is_made_and_revoked_while_all_runs_on_both_services",
    ),
    "Kafka was emptied, came back from an older copy, or a topic was made again": (
        "test_kafka_that_has_lost_events_is_noticed_and_filled_again",
        "test_a_kafka_that_came_back_from_an_older_copy_is_filled_again",
        "test_from_a_shortened_kafka_it_says_so_and_from_the_log_it_works",
    ),
    "MongoDB came back from an older copy": (
        "test_an_older_read_model_catches_up_with_its_totals",
        "test_a_mongodb_that_lacks_what_kafka_has_removed_is_told_to_rebuild_from_the_log",
    ),
    "The embedded MongoDB server cannot open its files": (
        "test_up_puts_files_aside_that_mongodb_cannot_open_and_fills_it_again",
        "test_an_emptied_mongodb_is_filled_by_a_rebuild_and_not_from_kafka_after_lanes_were_raised",
    ),
    "The log was tampered with": (
        "test_what_was_changed_by_hand_is_named_and_only_the_read_model_is_repaired",
        "test_an_anchor_finds_even_a_rewritten_chain",
    ),
    "Lanes": ("test_lanes_are_raised_under_load_with_many_of_each",),
}
_WORD = re.compile(r"(--)?[a-z]+(-[a-z]+)*")


def sections() -> dict[str, str]:
    parts = re.split(r"^## (.+)$", (ROOT / "docs/runbook.md").read_text("utf-8"), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def files() -> dict[str, str]:
    """Return the text of the file in which each test is."""
    return {
        node.name: path.read_text("utf-8")
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef)
    }


def commands(text: str) -> set[tuple[str, ...]]:
    """Return the words of each command: its name and options, without what is put in."""
    said = re.findall(r"`storelog ([^`]+)`", text)
    said += re.findall(r"^storelog (.+?)(?: +#.*)?$", text, re.MULTILINE)
    return {
        tuple(word for word in each.split() if _WORD.fullmatch(word))
        for each in said
        if not each.startswith("up")
    }


@pytest.mark.parametrize("section", sections())
def test_each_section_of_the_runbook_is_run_by_the_tests_that_are_named_for_it(
    section: str,
) -> None:
    assert section in TESTED, "name the tests that do what it says in TESTED"
    texts, known = [], files()
    for test in TESTED[section]:
        assert test in known, test
        texts.append(known[test])
    for words in commands(sections()[section]):
        assert all(any(_has(text, word) for text in texts) for word in words), (
            f"no test of the section runs `storelog {' '.join(words)}`"
        )


def _has(text: str, word: str) -> bool:
    """Tell whether a test's file hands the word to the command line."""
    return re.search(rf"""["' ]{re.escape(word)}["' ]""", text) is not None


def test_no_test_is_named_for_a_section_that_the_runbook_has_not() -> None:
    assert not TESTED.keys() - sections().keys()
