"""README's tour: one order from `POST /orders` to the handler of `GET /orders/42`, file by file."""

import ast
import re
from itertools import pairwise

from support.parsed import ROOT, nodes, text, tree

TOUR = re.search(r"## The tour\n(.*?)\n## ", text(ROOT / "README.md"), re.DOTALL)
assert TOUR is not None
STOPS = re.findall(r"\[(\S+)\]\(src/storelog/\S+\) \((\d+)\): ([^|<]+)", TOUR[1])
PACKAGE = ROOT / "src" / "storelog"
DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def test_what_the_tour_names_is_in_its_file() -> None:
    for file, _, names in STOPS:
        there = {node.name for node in nodes(PACKAGE / file) if isinstance(node, DEFINITIONS)}
        assert set(re.findall(r"`(\w+)`", names)) <= there, file


def test_each_file_of_the_tour_names_the_next_one() -> None:
    for (file, _, _), (after, _, _) in pairwise(STOPS):
        assert f"Next: {after}" in (ast.get_docstring(tree(PACKAGE / file)) or ""), file


def test_the_tour_is_as_long_as_it_says() -> None:
    assert TOUR is not None
    told = re.findall(r"[\d,]+ files|[\d,]+ lines", TOUR[1])
    assert told[0] == f"{len(STOPS)} files"
    lines = sum(len(text(PACKAGE / file).splitlines()) for file, _, _ in STOPS)
    assert abs(int(told[1].split()[0].replace(",", "")) - lines) <= lines // 20
    assert abs(sum(int(each) for _, each, _ in STOPS) - lines) <= lines // 20
