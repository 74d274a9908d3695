"""Draws the tables of a schema and their references as one SVG, which loads nothing.

Tables that refer to one another stand side by side, those referred to on the left; the others stand
below in as many columns. Its colours follow the reader's light or dark scheme.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, GAP, ROW, HEAD, MARGIN = 280, 44, 20, 28, 16
_STYLE = """text { font: 13px ui-sans-serif, system-ui, sans-serif; fill: #1b1f1d }
.ground { fill: #ffffff } .table { fill: #f7f8f7; stroke: #7c8783 }
.head { fill: #256d5a } .name { font-weight: 600; fill: #ffffff }
.type { fill: #56605c; text-anchor: end } .mark { fill: #256d5a; font-weight: 600; font-size: 11px }
.line { fill: none; stroke: #256d5a; stroke-width: 1.5 } .many { fill: #256d5a }
@media (prefers-color-scheme: dark) {
text { fill: #e6e9e7 } .ground { fill: #121513 } .table { fill: #1b1f1d; stroke: #6f7a76 }
.type { fill: #a3ada9 } .mark { fill: #6cc3a8 } .line { stroke: #6cc3a8 } .many { fill: #6cc3a8 }
}"""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table; `marks` are PK and FK."""

    name: str
    kind: str
    marks: tuple[str, ...]
    is_required: bool


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key: whose column names which table."""

    child: str
    column: str
    parent: str


Tables = Mapping[str, Sequence[Column]]


def draw(tables: Tables, references: Sequence[Reference]) -> str:
    """Return the SVG."""
    places, height = _places(tables, references)
    width = 2 * MARGIN + max(x for x, _ in places.values()) - MARGIN + WIDTH
    parts = [_line(places, tables, each) for each in references]
    parts += [_table(name, columns, *places[name]) for name, columns in tables.items()]
    names = ", ".join(tables)
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            f' width="{width}" height="{height}" role="img" aria-labelledby="title">',
            f'<title id="title">The tables {names} and their references</title>',
            f"<style>{_STYLE}</style>",
            f'<rect class="ground" width="{width}" height="{height}" rx="8"/>',
            *parts,
            "</svg>",
            "",
        )
    )


def _height(columns: Sequence[Column]) -> int:
    return HEAD + ROW * len(columns) + 8


def _places(
    tables: Tables, references: Sequence[Reference]
) -> tuple[dict[str, tuple[int, int]], int]:
    """Return the upper left corner of each table, and the height of all."""
    joined = {name for each in references for name in (each.child, each.parent)}
    deepest = max((_depth(name, references) for name in joined), default=2)
    ends = [MARGIN] * (deepest + 1)
    places = {}

    def put(name: str, column: int) -> None:
        places[name] = (MARGIN + column * (WIDTH + GAP), ends[column])
        ends[column] += _height(tables[name]) + GAP // 2

    for name in sorted(joined):
        put(name, _depth(name, references))
    ends = [max(ends)] * len(ends)
    for name in sorted(set(tables) - joined, key=lambda name: (-len(tables[name]), name)):
        put(name, ends.index(min(ends)))
    return places, max(ends) - GAP // 2 + MARGIN


def _depth(name: str, references: Sequence[Reference]) -> int:
    """Return how many references lie between a table and one that refers to none."""
    parents = [each.parent for each in references if each.child == name != each.parent]
    return max((1 + _depth(parent, references) for parent in parents), default=0)


def _table(name: str, columns: Sequence[Column], x: int, y: int) -> str:
    lines = [
        f'<rect class="table" x="{x}" y="{y}" width="{WIDTH}" height="{_height(columns)}" rx="4"/>',
        f'<rect class="head" x="{x}" y="{y}" width="{WIDTH}" height="{HEAD}" rx="4"/>',
        f'<text class="name" x="{x + 10}" y="{y + 19}">{escape(name)}</text>',
    ]
    for number, column in enumerate(columns):
        base = y + HEAD + ROW * number + 17
        kind = column.kind + ("" if column.is_required else ", or null")
        lines += [
            f'<text class="mark" x="{x + 10}" y="{base}">{" ".join(column.marks)}</text>',
            f'<text x="{x + 48}" y="{base}">{escape(column.name)}</text>',
            f'<text class="type" x="{x + WIDTH - 10}" y="{base}">{escape(kind)}</text>',
        ]
    return "\n".join(lines)


def _line(places: Mapping[str, tuple[int, int]], tables: Tables, each: Reference) -> str:
    """Return the line from a foreign key, which has the dot, to the table that it names."""
    child_x, child_y = places[each.child]
    parent_x, parent_y = places[each.parent]
    row = next(n for n, column in enumerate(tables[each.child]) if column.name == each.column)
    end_x, end_y = child_x, child_y + HEAD + ROW * row + 13
    from_x, from_y = parent_x + WIDTH, parent_y + HEAD // 2
    bend = GAP // 2
    # It goes through the gap before the child, and above or below what stands between.
    return (
        f'<path class="line" d="M{from_x} {from_y} H{end_x - bend} V{end_y} H{end_x}"/>'
        f'<circle class="many" cx="{end_x}" cy="{end_y}" r="4"/>'
    )
