"""Every error class has a status, every slug a title, and nothing internal is shown."""

import ast
import inspect
import re

from storelog import errors
from storelog.web import problem_pages, problems
from support.parsed import SOURCE, nodes


def test_every_error_that_can_reach_a_client_has_a_status() -> None:
    reach_a_client = [
        kind
        for kind in vars(errors).values()
        if inspect.isclass(kind)
        and issubclass(kind, errors.Refusal | errors.Unavailable)
        and kind not in (errors.Refusal, errors.ProtocolRefusal)
    ]
    assert len(reach_a_client) >= 9
    assert set(reach_a_client) == set(problems.STATUS)


def test_every_class_is_in_the_tree_of_the_docstring() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))
    classes = {
        n for n, k in vars(errors).items() if inspect.isclass(k) and k.__module__ == errors.__name__
    }
    assert classes == drawn | {"StorelogError"}


def test_every_slug_that_the_code_raises_has_a_title() -> None:
    slugs = set()
    for path in SOURCE.rglob("*.py"):
        for node in nodes(path):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("Conflict", "Forbidden", "InvalidFields", "ProtocolRefusal")
            ):
                constants = [a.value for a in node.args if isinstance(a, ast.Constant)]
                slugs |= {c for c in constants if isinstance(c, str) and re.fullmatch("[a-z-]+", c)}
    assert len(slugs) >= 8
    unknown = slugs - problems.TITLES.keys()
    assert not unknown, "declare them in REJECTIONS of their file, which shop/commands.py joins"


def test_what_is_not_in_the_tree_shows_nothing_of_itself() -> None:
    shown = problems.render(errors.StorelogError("password=secret"), "/x", "c1")
    assert shown.status == 500
    assert b"secret" not in shown.body
    assert shown.content_type == "application/problem+json"


def test_every_slug_has_a_page_that_says_what_to_do() -> None:
    assert problem_pages.ABOUT.keys() == problems.TITLES.keys()
    allowed = set(problems.STATUS.values()) | {405, 408, 413, 415, 421, 429, 431, 500}
    assert {status for status, _ in problem_pages.ABOUT.values()} == allowed
