"""Each command's help has an example, and says where its data is."""

from collections.abc import Iterator
from typing import Any

import typer
from typer.testing import CliRunner

from storelog.cli.main import app

# It has no data directory: it installs for the user, not for a shop.
WITHOUT_DATA = {"install-mongodb"}


def commands(group: Any, *before: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *before, name)
        else:
            yield " ".join([*before, name])


def test_every_command_has_help_with_an_example_and_a_data_dir() -> None:
    runner, there = CliRunner(), list(commands(typer.main.get_command(app)))
    assert len(there) > 20
    for command in there:
        argv = [*command.split(), "--help"]
        shown = runner.invoke(app, argv, env={"COLUMNS": "200", "NO_COLOR": "1"})
        assert shown.exit_code == 0, command
        assert f"Example: storelog {command}" in shown.stdout, command
        assert ("--data-dir" in shown.stdout) != (command in WITHOUT_DATA), command
