"""The recipes of CONTRIBUTING.md as what they are: edits of files, which tests apply to a copy.

A fenced block under the bold name of a file is an edit of it: the whole of a new file, or pieces of
a diff, each behind a line of `@@`. What a piece takes away or names must be in the file once.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from support.parsed import ROOT

_HEADING = re.compile(r"^## Recipe: (.+)$", re.MULTILINE)
_EDIT = re.compile(r"^\*\*`([^`]+)`\*\*( \(new\))?\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Edit:
    """What becomes of one file; `pieces` of a new one are none, and `text` is all of it."""

    path: str
    text: str
    pieces: tuple[tuple[str, str], ...]

    def apply(self, before: str | None) -> str:
        """Return the file's new text; `before` is None where there is no such file yet."""
        if not self.pieces:
            assert before is None, f"{self.path} is there already"
            return self.text
        assert before is not None, f"{self.path} is not there"
        text = before
        for old, new in self.pieces:
            starts = [found.start() for found in re.finditer(f"^{re.escape(old)}", text, re.M)]
            assert len(starts) == 1, f"{self.path} has {len(starts)} times:\n{old}"
            text = f"{text[: starts[0]]}{new}{text[starts[0] + len(old) :]}"
        return text


def recipes() -> dict[str, list[Edit]]:
    """Return the edits of each recipe, by its title."""
    _, *parts = _HEADING.split((ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    return {
        title: [_edit(*found) for found in _EDIT.findall(text.partition("\n## ")[0])]
        for title, text in zip(parts[::2], parts[1::2], strict=True)
    }


def _edit(path: str, new: str, block: str) -> Edit:
    if new:
        return Edit(path, block, ())
    pieces = (piece for piece in re.split(r"^@@.*\n", block, flags=re.MULTILINE) if piece)
    return Edit(path, "", tuple((_side(piece, "+"), _side(piece, "-")) for piece in pieces))


def _side(piece: str, other: str) -> str:
    """Return a piece without the lines of the other side."""
    lines = (line for line in piece.splitlines() if not line.startswith(other))
    return "".join(f"{line[1:]}\n" for line in lines)


def follow(edits: list[Edit], folder: Path) -> None:
    """Apply edits to the files of a folder."""
    for edit in edits:
        path = folder / edit.path
        before = path.read_text("utf-8") if path.exists() else None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(edit.apply(before), "utf-8")
