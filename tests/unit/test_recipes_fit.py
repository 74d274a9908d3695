"""The recipes of CONTRIBUTING.md fit the code as it is, and stay small."""

import ast
import re

import pytest

from support.parsed import ROOT
from support.recipes import Edit, recipes

RECIPES = recipes()
# How many files of the package a change may take: Python, and one of SQL.
MOST = {
    "add a field": (4, 1),
    "add an event with its command": (6, 0),
    "add a read model with its endpoint": (4, 0),
    "add an aggregate": (13, 1),
}


def test_there_is_a_recipe_for_each_thing_that_is_often_added() -> None:
    assert list(RECIPES) == list(MOST)


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_fits_the_files_that_it_changes(title: str) -> None:
    assert RECIPES[title]
    for edit in RECIPES[title]:
        path = ROOT / edit.path
        text = edit.apply(path.read_text("utf-8") if path.exists() else None)
        assert max(map(len, text.splitlines())) <= 100 or path.suffix == ".sql", edit.path
        if path.suffix == ".py":
            ast.parse(text)


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_takes_few_files(title: str) -> None:
    paths = [edit.path for edit in RECIPES[title] if edit.path.startswith("src/")]
    assert len(set(paths)) == len(paths), "one block for each file"
    python = sum(path.endswith(".py") for path in paths)
    assert (python, len(paths) - python) <= MOST[title]


def test_each_test_that_contributors_are_told_to_run_is_there() -> None:
    told = re.findall(
        r"(tests/\w+/test_\w+\.py)(?: -k (\w+))?", (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    )
    assert told
    for name, word in told:
        assert re.search(rf"def test_\w*{word}", (ROOT / name).read_text("utf-8")), (name, word)


def test_an_edit_whose_place_is_not_there_or_there_twice_is_an_error() -> None:
    edit = Edit("a.py", "", (("a\n", "b\n"),))
    assert edit.apply("c\na\n") == "c\nb\n"
    for text in ("c\n", "a\na\n", None):
        with pytest.raises(AssertionError, match=r"a\.py"):
            edit.apply(text)
    with pytest.raises(AssertionError, match="is there already"):
        Edit("a.py", "a\n", ()).apply("a\n")
