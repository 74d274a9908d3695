"""`python -m golden.record NAME...` writes files of the corpus anew, from its inputs and the code.

Without a name it writes all of them, and adds to the inputs what they lack (golden/inputs.py).
Prints which parts change, how often. Only for a change that is meant to be seen: README.md says
when, and lists what was changed so.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from golden.inputs import missing_older, missing_requests
from support.golden import Shop
from support.golden_forms import abridged, line_of
from support.golden_shapes import older_forms, shapes

HERE = Path(__file__).parent
AS_WRITTEN: dict[str, Any] = {"ensure_ascii": False, "separators": (",", ":")}
INPUTS = ("requests.jsonl", "changed.jsonl", "older.jsonl")


def stored_lines(name: str) -> list[str]:
    """Return the lines of a file; some hold characters at which `splitlines` would break them."""
    return (HERE / name).read_text("utf-8").removesuffix("\n").split("\n")


def read_lines(name: str) -> list[Any]:
    """Return the values of a file of inputs, one a line."""
    return [json.loads(line) for line in stored_lines(name)]


def lines() -> Iterator[tuple[str, str]]:
    """Yield each line that the inputs and the code make, with the file that it belongs to."""
    shop = Shop()
    for number, request in enumerate(read_lines("requests.jsonl"), 1):
        command, events = shop.send(request)
        yield "commands.jsonl", line_of({"request": number, **command})
        for line in abridged([line_of(forms) for forms in events]):
            yield "events.jsonl", line
    for collection in sorted({collection for collection, _ in shop.documents}):
        documents = [line_of(forms) for forms in shop.document_forms(collection)]
        for line in abridged(documents, 100):
            yield "documents.jsonl", line
    for form in shop.history_forms():
        yield "histories.jsonl", line_of(form)
    for form in shop.ledger_forms():
        yield "ledger.jsonl", line_of(form)
    for name, words in shop.words.items():
        yield "words.jsonl", line_of({"name": name, "words": words})
    for number, request in enumerate(read_lines("changed.jsonl"), 1):
        command, events = shop.send(request)
        for form in ({"request": number, **command}, *events):
            yield "changed-since.jsonl", line_of(form)
    for older in read_lines("older.jsonl"):
        yield "upcast.jsonl", line_of(older_forms(older))
    for shape in shapes():
        yield "shapes.jsonl", json.dumps(shape, **AS_WRITTEN)


def files() -> dict[str, list[str]]:
    """Return the lines of each recorded file."""
    found: dict[str, list[str]] = {}
    for name, line in lines():
        found.setdefault(name, []).append(line)
    return found


def changed_parts(before: Any, after: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield where two values differ, with both: members by name, all items of a list as one."""
    before, after = opened(before), opened(after)
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before | after:
            yield from changed_parts(before.get(name), after.get(name), f"{at}/{name}")
        if before == after and list(before) != list(after):
            yield f"{at} (order)", list(before), list(after)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for one, other in zip(before, after, strict=True):
            yield from changed_parts(one, other, f"{at}/*")
    elif before != after:
        yield at, before, after


def opened(value: Any) -> Any:
    """Return the JSON within a text, else the value."""
    if isinstance(value, str) and value.startswith(("{", "[")):
        with suppress(ValueError):
            return json.loads(value)
    return value


def pairs(before: list[str], now: list[str]) -> Iterator[tuple[Any, Any]]:
    """Yield the lines of a file with those that they become: shapes by what they are of."""
    old, new = [list(map(json.loads, lines)) for lines in (before, now)]
    if not old or "is" not in old[0]:
        yield from zip(old, new, strict=False)
        return
    shapes = {shape["of"]: shape for shape in new}
    yield from ((shape, shapes[shape["of"]]) for shape in old if shape["of"] in shapes)


def summary(name: str, now: list[str]) -> Iterator[str]:
    """Yield each part in which the lines of a file are to change, how often, and the first one."""
    before = stored_lines(name) if (HERE / name).exists() else []
    if len(before) != len(now):
        yield f"{name}: {len(before)} lines become {len(now)}"
    found: dict[str, list[str]] = {}
    for line, new in pairs(before, now):
        for at, was, is_now in changed_parts(line, new):
            found.setdefault(at, []).append(f"{str(was)[:80]!r} becomes {str(is_now)[:80]!r}")
    for at, changes in found.items():
        yield f"{name}: {len(changes)} times {at}, first {changes[0]}"


def add_lines(name: str, added: list[Any]) -> None:
    """Add lines to a file of inputs."""
    if added:
        sys.stdout.write(f"{name}: {len(added)} lines are added\n")
        with (HERE / name).open("a", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{json.dumps(line, **AS_WRITTEN)}\n" for line in added)


def add_inputs() -> None:
    """Add to the inputs what they lack; the payloads of older versions are those on record."""
    older = missing_older(read_lines("older.jsonl"), read_lines("events.jsonl"))
    add_lines("older.jsonl", list(older))
    add_lines("requests.jsonl", list(missing_requests(read_lines("requests.jsonl"))))


if __name__ == "__main__":
    if not sys.argv[1:]:
        add_inputs()
    made = files()
    for wanted in sys.argv[1:] or sorted(made):
        sys.stdout.writelines(f"{line}\n" for line in summary(wanted, made[wanted]))
        text = "".join(f"{line}\n" for line in made[wanted])
        (HERE / wanted).write_text(text, "utf-8", newline="\n")
