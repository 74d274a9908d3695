"""What STYLE can be held by a test: sizes, words and calls that are banned; each rule one test."""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

from support.parsed import ROOT, nodes, text, tree

SOURCES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "generate").rglob("*.py")])
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60
BANNED_CALLS = {
    "time.sleep": "a bounded wait on a condition, or Event.wait",
    "datetime.utcnow": "envelope.utc_now",
    "datetime.now": "envelope.utc_now",
    "asyncpg.connect": "storelog.postgres.connect",
    "os.system": "subprocess.run with a list",
    "print": "the logger, but in cli/ and local/",
}
# A difference to one of them is a time that was measured.
CLOCKS = {"time.monotonic()", "time.perf_counter()"}
BANNED_NAMES = r"(Manager|Helper|Util|Utils|DTO)$"
BANNED_FOLDERS = {"utils", "common", "helpers", "services", "adapters"}
# Words that only this project would use so, with the field's terms in their place.
BANNED_WORDS = {
    r"(un)?answer(s|ed|ing)?": "response, reply, respond",
    r"refus(e|es|ed|al|als|ing)": "reject, rejection, error",
    r"figures?": "totals, metrics",
    r"mend(s|ed|ing)?|heal(s|ed|ing)?": "fix, repair, recover",
    r"whoever|servers behind|that is none": "say who or what it is",
}
# Here the words are names that users rely on: members of JSON, values of a label.
USED_AS_NAMES = ("cli/demo.py", "command_service/measures.py")
# Names of tests may have the name of an error, NoAnswer, and what TCP calls refused.
TERMS_OF_OTHERS = re.compile("no_answer|connection_that_is_refused")


# Two types of one name must mean the same: the client's are those of the shop or the API.
ONE_MEANING = {"ChainedEvent", "Change", "Event", "Page"}
ALIAS = r"[A-Z][A-Za-z]*[a-z]"


def at(path: Path, node: ast.stmt | ast.expr | None = None) -> str:
    return f"{path.relative_to(ROOT)}:{node.lineno if node else 1}"


def offenders(found: Iterator[str]) -> str:
    """Return a line for each offender, for an assertion that there is none."""
    return "\n".join(["", *sorted(found)]).rstrip()


def long_functions(path: Path) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{at(path, node)}: {node.name} has {lines} lines"


def banned_calls(path: Path) -> Iterator[str]:
    may_print = {"cli", "local"} & set(path.parts) or path.name == "config.py"
    for node in nodes(path):
        if isinstance(node, ast.Call):
            call = ast.unparse(node.func)
            if call in BANNED_CALLS and not (call == "print" and may_print):
                yield f"{at(path, node)}: {call}: use {BANNED_CALLS[call]}"


def banned_words(path: Path) -> Iterator[str]:
    """Look at docstrings, comments, and strings that are more than a name."""
    for token in tokenize.generate_tokens(io.StringIO(text(path)).readline):
        is_text = token.type == tokenize.STRING and " " in token.string
        if token.type == tokenize.COMMENT or is_text:
            for words, better in BANNED_WORDS.items():
                if found := re.search(rf"(?<![`\w])({words})(?![`\w])", token.string):
                    line = token.start[0]
                    yield f"{path.relative_to(ROOT)}:{line}: {found[0]}: use {better}"


def banned_in_names(path: Path) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            name = TERMS_OF_OTHERS.sub("", node.name).replace("_", " ")
            for words, better in BANNED_WORDS.items():
                if node.name.startswith("test_") and re.search(rf"\b({words})\b", name):
                    yield f"{at(path, node)}: {node.name}: use {better}"


def left_for_later(path: Path) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            if "implemented" in ast.unparse(raised).casefold():
                yield at(path, node)


def without_docstring(path: Path) -> Iterator[str]:
    for node in tree(path).body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if not node.name.startswith("_") and not ast.get_docstring(node):
            yield f"{at(path, node)}: {node.name}"


def badly_named(path: Path) -> Iterator[str]:
    if BANNED_FOLDERS & set(path.relative_to(ROOT).parts):
        yield at(path)
    for node in nodes(path):
        if isinstance(node, ast.ClassDef) and re.search(BANNED_NAMES, node.name):
            yield f"{at(path, node)}: {node.name}"


def types_of(path: Path) -> Iterator[tuple[str, ast.stmt]]:
    """Yield the classes and the aliases of types, by name."""
    for node in tree(path).body:
        if isinstance(node, ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Assign) and re.fullmatch(ALIAS, ast.unparse(node.targets[0])):
            yield ast.unparse(node.targets[0]), node


def named_twice() -> Iterator[str]:
    known: dict[str, tuple[ast.stmt, str]] = {}
    for path in [path for path in SOURCES if path.is_relative_to(ROOT / "src")]:
        for name, node in types_of(path):
            place = at(path, node)
            other, first = known.setdefault(name, (node, place))
            if first == place or is_the_clients(name, (node, other), (place, first)):
                continue
            # Aliases of one type may be written where they are used.
            if isinstance(node, ast.ClassDef) or ast.unparse(node) != ast.unparse(other):
                yield f"{place}: {name} is also at {first}"


def is_the_clients(name: str, types: Iterable[ast.stmt], places: Iterable[str]) -> bool:
    """Tell whether one of two types is the client's view of the other: as a rule, a subclass."""
    bases = (base for node in types if isinstance(node, ast.ClassDef) for base in node.bases)
    derives = any(ast.unparse(base).endswith(f".{name}") for base in bases)
    return (derives or name in ONE_MEANING) and any("/client/" in place for place in places)


def is_alone(node: ast.stmt) -> bool:
    marks: list[ast.expr] = []
    if isinstance(node, ast.FunctionDef):
        marks = node.decorator_list
    elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
        marks = [node.value]
    return any("pytest.mark.alone" in ast.unparse(mark) for mark in marks)


def is_alone_as_a_whole(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and is_alone(node)


def measured_beside_others(path: Path) -> Iterator[str]:
    """Yield where a time is measured outside of a test that runs alone, and of what serves one."""
    tops = tree(path).body
    has_one = any(map(is_alone, tops))
    for node in tops:
        is_test = isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        if is_alone(node) if is_test else has_one:
            continue
        for inner in ast.walk(node):
            if not isinstance(inner, ast.BinOp) or not isinstance(inner.op, ast.Sub):
                continue
            if ast.unparse(inner.left) in CLOCKS:
                yield at(path, inner)


def test_files_stay_small() -> None:
    sizes = {path: text(path).count("\n") for path in SOURCES + TESTS}
    large = (f"{at(path)}: {size} lines" for path, size in sizes.items() if size > MAX_FILE_LINES)
    assert not offenders(large), "split it by what it is about"


def test_functions_stay_small() -> None:
    assert not offenders(found for path in SOURCES + TESTS for found in long_functions(path))


def test_every_module_says_what_it_does() -> None:
    assert not offenders(at(path) for path in SOURCES if not ast.get_docstring(tree(path)))


def test_public_functions_and_classes_say_what_they_do() -> None:
    assert not offenders(found for path in SOURCES for found in without_docstring(path))


def test_nothing_is_left_for_later() -> None:
    """Words left in comments are found by ruff (FIX); here, code that says it is not there yet.

    Who calls what is offered must get it, so nothing may raise an error of that name, Python's own
    or one of ours.
    """
    assert not offenders(found for path in SOURCES + TESTS for found in left_for_later(path))


def test_banned_calls_have_a_better_one() -> None:
    sources = [path for path in SOURCES if path.name not in ("envelope.py", "postgres.py")]
    assert not offenders(found for path in sources for found in banned_calls(path))


def test_names_are_the_fields_terms() -> None:
    assert not offenders(found for path in SOURCES for found in badly_named(path))


def test_texts_use_the_fields_terms() -> None:
    package = ROOT / "src" / "storelog"
    ours = [path for path in SOURCES if package in path.parents]
    told = [p for p in ours if not str(p.relative_to(package)).startswith(USED_AS_NAMES)]
    assert not offenders(word for path in told for word in banned_words(path))


def test_names_of_tests_use_the_fields_terms() -> None:
    assert not offenders(found for path in TESTS for found in banned_in_names(path))


def test_a_class_name_has_one_meaning_in_the_whole_package() -> None:
    assert not offenders(named_twice())


def test_a_cache_keeps_the_types_of_its_function() -> None:
    """A type checker lets anything hashable into a function that `functools` caches."""
    sources = [path for path in SOURCES if path.name != "typed_cache.py"]
    hides = re.compile(r"\blru_cache\b|^\s*@(functools\.)?cache\b|import .*\bcache\b", re.MULTILINE)
    assert not offenders(at(path) for path in sources if hides.search(text(path)))


def test_what_asserts_a_time_runs_alone() -> None:
    """Tests run side by side, where a time says nothing."""
    files = (path for path in TESTS if path.name.startswith("test_"))
    there = [path for path in files if not any(map(is_alone_as_a_whole, tree(path).body))]
    assert not offenders(found for path in there for found in measured_beside_others(path))


def test_every_file_on_the_tour_exists() -> None:
    assert not offenders(
        f"{at(path)}: {target}"
        for path in SOURCES
        for target in re.findall(r"Next: (\S+\.py)", ast.get_docstring(tree(path)) or "")
        if not (ROOT / "src" / "storelog" / target).is_file()
    )


def test_the_links_of_the_documents_lead_somewhere() -> None:
    assert not offenders(
        f"{at(document)}: {target}"
        for document in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
        for target in re.findall(r"\]\(([^)#:]+)\)", text(document))
        if not (document.parent / target).exists()
    )
