"""The generated pages of the docs site leave nothing out."""

from dataclasses import fields

import typer

from generate import reference
from generate.events import PAYLOADS
from storelog.cli.main import app
from storelog.config import Settings
from storelog.web.problems import TITLES


def test_the_generated_reference_has_everything() -> None:
    pages = reference.pages()
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert [name for name in commands if f"storelog {name}" not in pages["reference/cli.md"]] == []
    for entry in fields(Settings):
        assert f"STORELOG_{entry.name.upper()}`" in pages["reference/settings.md"]
    assert all(f"`{slug}`" in pages["reference/problems.md"] for slug in TITLES)
    assert all(f"## {kind}, version {n}" in pages["reference/events.md"] for kind, n in PAYLOADS)
    for path in ("POST /orders", "GET /orders/{orderId}", "GET /analytics/total-sales"):
        assert f"### {path}\n" in pages["reference/http.md"]
