"""The text of files of the code and the tests, read and parsed once for all rules about them."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "storelog"


@cache
def text(path: Path) -> str:
    """Return what a file says."""
    return path.read_text("utf-8")


@cache
def tree(path: Path) -> ast.Module:
    """Return a file's module."""
    return ast.parse(text(path))


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Return every node of a file's module."""
    return list(ast.walk(tree(path)))
