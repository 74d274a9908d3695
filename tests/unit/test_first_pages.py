"""README and the docs' home: the first pages that a reader sees."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DRAWING = ROOT / "docs" / "pictures" / "architecture.svg"
_PICTURE = re.compile(r"!\[([^\]]+)\]\(([^)]+)\)")


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_first_pages_show_the_drawing_and_four_pictures_each_described_in_words(
    page: str,
) -> None:
    path = ROOT / page
    shown = {
        (path.parent / target).name: text for text, target in _PICTURE.findall(path.read_text())
    }
    assert all((ROOT / "docs" / "pictures" / name).is_file() for name in shown)
    assert DRAWING.name in shown
    assert sum(name.startswith("console-") for name in shown) == 4
    assert all(len(text.split()) >= 3 for text in shown.values())


def test_the_drawing_has_a_light_and_a_dark_side_and_loads_nothing() -> None:
    drawing = DRAWING.read_text("utf-8")
    assert "prefers-color-scheme: dark" in drawing
    assert "<desc" in drawing and "<script" not in drawing
    assert not re.search(r"(href|src|url\(|@import)", drawing)
