"""What the documents say is shown by a test is: the test is there."""

import ast
import re

import pytest

from support.parsed import ROOT, nodes

TESTS = {
    node.name
    for path in (ROOT / "tests").rglob("test_*.py")
    for node in nodes(path)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
}
PAGES = [
    "SECURITY.md",
    "CHANGELOG.md",
    "docs/freshness.md",
    "docs/backup.md",
    "docs/mongodb.md",
]
FILES = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}


@pytest.mark.parametrize("page", PAGES)
def test_each_test_that_a_page_names_is_there(page: str) -> None:
    named = set(re.findall(r"\btest_\w+", (ROOT / page).read_text("utf-8")))
    assert named
    assert not named - TESTS - FILES


def test_each_guarantee_names_tests_that_are_in_their_files() -> None:
    page = (ROOT / "docs/freshness.md").read_text("utf-8").partition("## What is guaranteed")[2]
    table = page.partition("| guarantee |")[2].partition("\n\n")[0]
    rows = table.splitlines()[2:]
    assert rows
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", row.rpartition(" | ")[2])
        assert named, row
        for path, test in named:
            assert f"def {test}(" in (ROOT / "tests" / path).read_text("utf-8"), test


def test_each_of_the_top_ten_names_a_test() -> None:
    page = (ROOT / "SECURITY.md").read_text("utf-8")
    rows = re.findall(r"^\| (API\d+) .*\|([^|]*)\|$", page, re.MULTILINE)
    assert [name for name, _ in rows] == [f"API{number}" for number in range(1, 11)]
    assert all(re.search(r"`test_\w+`", shown_by) for _, shown_by in rows)


def test_each_row_of_how_it_is_tested_names_what_is_there() -> None:
    page = (ROOT / "SECURITY.md").read_text("utf-8").partition("## How it is tested")[2]
    targets = set(re.findall(r"`make (\w+)`", page))
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    assert all((ROOT / path).exists() for path in re.findall(r"`(tests/[\w/.]+)`", page))
