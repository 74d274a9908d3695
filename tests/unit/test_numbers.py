"""Numbers of decisions and migrations have no hole that CONTRIBUTING.md does not name."""

import re

import pytest

from support.parsed import ROOT

FOLDERS = {"decisions": "docs/decisions", "migrations": "src/storelog/migrations"}


@pytest.mark.parametrize("what", FOLDERS)
def test_each_number_is_used_once_or_named_as_free(what: str) -> None:
    names = [path.name for path in (ROOT / FOLDERS[what]).iterdir()]
    used = [int(name[:4]) for name in names if re.match(r"\d{4}", name)]
    assert len(set(used)) == len(used)
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    said = re.search(rf"{what} ((?:\d+(?:,| and)?\s+)+(?:and )?\d+)", text)
    assert said is not None, f"CONTRIBUTING.md does not name the free numbers of {what}"
    free = {int(number) for number in re.findall(r"\d+", said[1])}
    assert free == {*range(1, max(used) + 1)} - {*used}
