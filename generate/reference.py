"""The reference's pages that the code itself writes: commands, settings, HTTP, events, problems.

Made whenever the site is built, so none of them can be out of date.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any

import typer

from generate.events import PAYLOADS, value_schema
from generate.openapi import documents
from storelog.cli.main import app
from storelog.config import Settings, shown
from storelog.web.examples import example_of
from storelog.web.problem_pages import ABOUT
from storelog.web.problems import TITLES


def pages() -> dict[str, str]:
    """Return the text of each page by its path in the site."""
    return {
        "reference/cli.md": "\n".join(_command_line()),
        "reference/settings.md": "\n".join(_settings()),
        "reference/http.md": "\n".join(_http()),
        "reference/events.md": "\n".join(_events()),
        "reference/problems.md": "\n".join(_problems()),
    }


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
    yield ""


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _command_line() -> Iterator[str]:
    yield "# Command line\n"
    yield "Exit 0: done; 1: ran, and the result is no; 2: bad use; 3: could not run.\n"
    root = typer.main.get_command(app)
    yield from _commands(root, typer.Context(root, info_name="storelog"))


def _commands(command: Any, context: Any) -> Iterator[str]:
    for name in getattr(command, "commands", {}):
        part = command.commands[name]
        inner = typer.Context(part, info_name=name, parent=context)
        if hasattr(part, "commands"):
            yield from _commands(part, inner)
            continue
        usage = " ".join(part.collect_usage_pieces(inner))
        yield f"## {inner.command_path}\n"
        yield f"```text\n{inner.command_path} {usage}\n```\n"
        yield f"{part.help or ''}\n".replace("Example:", "\n\nExample:")
        rows = [
            (_code(" / ".join([*p.opts, *p.secondary_opts])), getattr(p, "help", None) or "")
            for p in part.params
            if not getattr(p, "hidden", False)
        ]
        if rows:
            yield from _table(("option", "meaning"), rows)


def _settings() -> Iterator[str]:
    yield "# Settings\n"
    yield (
        "Each is `STORELOG_` and the name in capitals in the environment, the name in lower case "
        "in `./storelog.toml`. `storelog config` shows what is in force and where it is from.\n"
    )
    rows = [
        (
            _code(f"STORELOG_{entry.name.upper()}"),
            entry.metadata["about"],
            entry.metadata["unit"],
            _code(shown(entry.name, entry.default)),
            "secret" if entry.metadata["is_secret"] else "",
        )
        for entry in fields(Settings)
    ]
    yield from _table(("setting", "meaning", "unit", "default", ""), rows)


def _http() -> Iterator[str]:
    yield "# HTTP\n"
    yield "Each service has its own OpenAPI document at `/openapi.json`; these are the same.\n"
    for service, document in documents().items():
        yield f"## {service.capitalize()} Service\n"
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                title = f"{method.upper()} {path}"
                yield from _operation(title, operation, document["components"]["schemas"])


def _operation(title: str, operation: Any, components: Any) -> Iterator[str]:
    yield f"### {title}\n"
    yield f"{operation['summary']}. Role: `{operation['x-role']}`.\n"
    rows = [
        (_code(p["name"]), p["in"], p.get("description") or p["schema"].get("description", ""))
        for p in operation["parameters"]
    ]
    if rows:
        yield from _table(("parameter", "in", "meaning"), rows)
    if "requestBody" in operation:
        yield from _example("Request", operation["requestBody"]["content"], components)
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            yield from _example(f"Response {status}", response.get("content", {}), components)
    errors = [status for status in operation["responses"] if not status.startswith("2")]
    yield f"Errors: {', '.join(errors)}.\n"


def _example(title: str, content: Any, components: Any) -> Iterator[str]:
    schema = content.get("application/json", {}).get("schema")
    yield f"{title}:\n" if schema else f"{title}.\n"
    if schema:
        text = json.dumps(example_of(schema, components), indent=2, ensure_ascii=False)
        yield f"```json\n{text}\n```\n"


def _events() -> Iterator[str]:
    yield "# Events\n"
    yield "The values on the nine topics. [A Kafka of your own](../kafka.md) says more.\n"
    for kind, version in PAYLOADS:
        schema = value_schema(kind, version)
        yield f"## {schema['title']}\n"
        yield f"[JSON Schema](../schemas/{kind}.v{version}.schema.json)\n"
        for example in schema["examples"]:
            yield f"```json\n{json.dumps(example, indent=2, ensure_ascii=False)}\n```\n"


def _problems() -> Iterator[str]:
    yield "# Problems\n"
    yield "Every error of both services is `application/problem+json` (RFC 9457).\n"
    rows = [
        (str(ABOUT[slug][0]), f"`{slug}`", title, ABOUT[slug][1])
        for slug, title in sorted(TITLES.items(), key=lambda pair: (ABOUT[pair[0]][0], pair[0]))
    ]
    yield from _table(("status", "slug", "title", "what to do"), rows)
