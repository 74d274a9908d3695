"""The hook of the docs site: adds the pages that the code writes, and the repository's own."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from generate import reference

ROOT = Path(__file__).parent.parent
# Pages that stand at the top of the repository, where people look for them first.
_ELSEWHERE = {
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
# The page that stands for the folder of decisions, which links name.
_DECISIONS = "decisions/index.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Complete the navigation: decisions by number, and the pages that nobody has placed."""
    named = set(_pages(config.nav))
    docs = Path(config.docs_dir)
    decisions = [str(path.relative_to(docs)) for path in sorted(docs.glob("decisions/*.md"))]
    pages = [str(path.relative_to(docs)) for path in sorted(docs.rglob("*.md"))]
    unplaced = [page for page in pages if page not in named and page not in decisions]
    _section(config.nav, "How to").extend(unplaced)
    _section(_section(config.nav, "Why"), "Decisions").extend([_DECISIONS, *decisions])
    return config


def _pages(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    else:
        for entry in nav.values() if isinstance(nav, dict) else nav:
            yield from _pages(entry)


def _section(nav: Any, title: str) -> list[Any]:
    found: list[Any] = next(e[title] for e in nav if isinstance(e, dict) and title in e)
    return found


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is not in docs/."""
    for path, text in reference.pages().items():
        files.append(File.generated(config, path, content=text))
    files.append(File.generated(config, _DECISIONS, content=_index(Path(config.docs_dir))))
    for source, path in _ELSEWHERE.items():
        text = (ROOT / source).read_text("utf-8")
        files.append(File.generated(config, path, content=_for_the_site(text)))
    return files


def _index(docs: Path) -> str:
    """Return the page that lists the decisions by their titles."""
    titles = {
        path.name: path.read_text("utf-8").partition("\n")[0].removeprefix("# ")
        for path in sorted(docs.glob("decisions/*.md"))
    }
    links = [f"- [{title}]({name})" for name, title in titles.items()]
    head = (
        "# Decisions\n\nOne page each: the context, the decision, its consequences, what checks it."
    )
    return "\n".join([head, "", *links, ""])


def on_page_markdown(markdown: str, **_: object) -> str:
    """Let links to files that are not on the site be plain names."""
    return _for_the_site(markdown)


def _for_the_site(text: str) -> str:
    for source, path in _ELSEWHERE.items():
        text = text.replace(f"](../{source})", f"]({path})").replace(f"]({source}", f"]({path}")
    text = re.sub(
        r"\[([^\]]+)\]\(\.\./(?:\.\./)*(?!reference|schemas|[a-z-]+\.md)[^)]*\)", r"\1", text
    )
    text = text.replace("](docs/decisions)", f"]({_DECISIONS})")
    return re.sub(r"\]\(docs/([^)]*)\)", r"](\1)", text)
