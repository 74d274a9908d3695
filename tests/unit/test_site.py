"""The docs site builds without a warning, and its generated pages leave nothing out."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import typer

from generate import reference
from generate.events import PAYLOADS
from storelog.cli.main import app
from storelog.config import Settings
from storelog.web.problems import TITLES

ROOT = Path(__file__).parents[2]


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING  -" not in done.stderr
    assert "unrecognized relative link" not in done.stderr
    assert "not included in the" not in done.stderr, "a page that the navigation lacks"
    for page in ("tutorial", "reference/cli", "reference/problems", "architecture", "kafka"):
        assert (tmp_path / page / "index.html").is_file()


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
