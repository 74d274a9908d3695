"""What the shop is made of is declared in `shop/` once: elsewhere its names are not written again.

A count may only fall. When it does, lower it here; at none, the rule holds for good.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import storelog
from storelog.shop.events import ENTITIES, EVENTS
from storelog.shop.fields import fields_of

SOURCE = Path(storelog.__file__).parent
# Declarations, read models, migrations, and checks from outside, which share nothing with the code.
FREE = ("shop", "read_models", "migrations", "torture/checks")
# Names that other things have as well: a key, a setting, a refusal.
COMMON = frozenset({"name", "reason"})
MOST_FIELDS = 34
MOST_EVENTS = 0


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        place = str(path.relative_to(SOURCE))
        if not place.startswith(FREE):
            yield place, ast.parse(path.read_text("utf-8"))


def literals(names: frozenset[str]) -> Counter[str]:
    """Return how many string literals of each file are one of the names."""
    found: Counter[str] = Counter()
    for place, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and node.value in names:
                found[place] += 1
    return found


def names_of_fields() -> frozenset[str]:
    structures = {kind.structure for kind in ENTITIES} | {kind.payload for kind in EVENTS}
    lines = {field.line for each in structures for field in fields_of(each) if field.line}
    fields = [field for each in structures | lines for field in fields_of(each)]
    return frozenset(name for field in fields for name in (field.name, field.json)) - COMMON


def test_names_of_fields_are_written_less_and_less_outside_the_declarations() -> None:
    found = literals(names_of_fields())
    assert found.total() <= MOST_FIELDS, found.most_common()


def test_names_of_events_are_written_in_the_declarations_only() -> None:
    found = literals(frozenset(kind.name for kind in EVENTS))
    assert found.total() <= MOST_EVENTS, found.most_common()


def test_nothing_is_told_by_how_a_name_ends() -> None:
    endings = frozenset({"Created", "Updated", "Deleted"})
    assert not literals(endings)
