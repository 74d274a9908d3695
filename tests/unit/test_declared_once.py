"""The shop is declared in `shop/` once: elsewhere the names of its fields are not written again."""

import ast
import re
from collections import Counter
from collections.abc import Callable
from functools import cache

from storelog.shop.events import ENTITIES, EVENTS
from storelog.shop.fields import fields_of
from support.parsed import SOURCE, nodes

# Declarations, read models, migrations, and checks from outside, which share nothing with the code.
FREE = ("shop", "read_models", "migrations", "torture/checks")
# The fold of a read model chooses its events: it may do so by their type.
FOLDS = r"read_models/\w+/model\.py"
# Names that are also used elsewhere: for a key, a setting, a rejection.
COMMON = frozenset({"name", "reason"})
# The names of what is declared: events, entities, and the unions of events.
_ENTITIES = {kind.structure.__name__ for kind in ENTITIES}
TYPES = _ENTITIES | {kind.name for kind in EVENTS} | {f"{name}Event" for name in _ENTITIES}


@cache
def placed_nodes() -> tuple[tuple[str, ast.AST], ...]:
    """Return every node of the code, each with its file."""
    paths = sorted(SOURCE.rglob("*.py"))
    return tuple((str(path.relative_to(SOURCE)), node) for path in paths for node in nodes(path))


def literals(names: frozenset[str]) -> Counter[str]:
    """Return how many string literals of each file are one of the names."""
    return Counter(
        place
        for place, node in placed_nodes()
        if isinstance(node, ast.Constant) and node.value in names and not place.startswith(FREE)
    )


def names_of_fields() -> frozenset[str]:
    structures = {kind.structure for kind in ENTITIES} | {kind.payload for kind in EVENTS}
    lines = {field.line for each in structures for field in fields_of(each) if field.line}
    fields = [field for each in structures | lines for field in fields_of(each)]
    return frozenset(name for field in fields for name in (field.name, field.json)) - COMMON


def test_names_of_fields_are_written_in_the_declarations_and_read_models_only() -> None:
    found = literals(names_of_fields())
    assert not found, (
        "name the attribute, field_at(Product.stock); add to COMMON what means another"
    )


def test_names_of_events_are_written_in_the_declarations_only() -> None:
    assert not literals(frozenset(kind.name for kind in EVENTS))


def test_nothing_is_told_by_how_a_name_ends() -> None:
    endings = frozenset({"Created", "Updated", "Deleted"})
    assert not literals(endings)


def names_in(*nodes: ast.AST) -> set[str]:
    found = [each for node in nodes for each in ast.walk(node)]
    names = {each.id for each in found if isinstance(each, ast.Name)}
    return names | {each.attr for each in found if isinstance(each, ast.Attribute)}


def is_a_type_test(node: ast.AST) -> bool:
    match node:
        case ast.MatchClass(cls=tested):
            return bool(names_in(tested) & TYPES)
        case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, tested]):
            return bool(names_in(tested) & TYPES)
    return False


def is_an_open_match(node: ast.AST) -> bool:
    return isinstance(node, ast.Match) and "assert_never" not in names_in(*node.cases[-1].body)


def lines_where(holds: Callable[[ast.AST], bool]) -> list[str]:
    """Return where the code has such a node; the checks from outside read an event as text."""
    return [
        f"{place}:{getattr(node, 'lineno', 0)}"
        for place, node in placed_nodes()
        if holds(node) and not place.startswith("torture/checks")
    ]


def test_nothing_is_told_by_the_type_of_an_event_or_an_entity() -> None:
    for text in ("isinstance(a.event, shop.ProductSold)", "isinstance(a, int | OrderEvent)"):
        assert is_a_type_test(ast.parse(text, mode="eval").body)
    found = [place for place in lines_where(is_a_type_test) if not re.match(FOLDS, place)]
    assert not found, "declare in shop/events.py what differs, and ask for that (decision 47)"


def test_every_match_ends_in_assert_never() -> None:
    assert is_an_open_match(ast.parse("match a:\n case int():\n  pass").body[0])
    assert not lines_where(is_an_open_match)
