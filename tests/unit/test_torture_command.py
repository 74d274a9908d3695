"""What `storelog torture` prints after a breach: a command that draws the same faults again."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from storelog.cli.main import app
from storelog.torture import torture
from storelog.torture.faults import FAULTS, LONG, NEED_DISKS
from storelog.torture.report import TortureReport
from storelog.torture.torture import Plan

Runs = Callable[..., str]


@pytest.fixture
def plans() -> list[Plan]:
    """The plans of all runs, in order."""
    return []


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, plans: list[Plan]) -> Runs:
    """Run the command line on a system that does not exist but whose facts are all known."""

    def run(*argv: str, breaches: tuple[str, ...] = ("planted",), **known: Any) -> str:
        class Untried:
            def __init__(self, plan: Plan, *_: object) -> None:
                plans.append(plan)

            def run(self) -> dict[str, Any]:
                plan = plans[-1]
                report = TortureReport(plan.seed, plan.kinds, plan.minutes, plan.is_once, **known)
                for breach in breaches:
                    report.breach(breach)
                return report.facts(1.0, {}, {}, {})

        monkeypatch.setattr(torture, "Torture", Untried)
        monkeypatch.setattr(torture, "install_stop_signals", lambda: None)
        home = tmp_path / str(len(plans))
        done = CliRunner().invoke(app, ["torture", *argv, "--data-dir", str(home)])
        assert done.exit_code == (1 if breaches else 0), done.output
        return done.stdout

    return run


def repeating(output: str) -> list[str]:
    """Return the arguments after `storelog torture` of the command to repeat the run."""
    (line,) = [line for line in output.splitlines() if line.startswith("to repeat: ")]
    name, command, *argv = shlex.split(line.removeprefix("to repeat: "))
    assert (name, command) == ("storelog", "torture")
    return argv


@pytest.mark.parametrize(
    "argv",
    [
        "",
        "--seed 7",
        "--minutes 0.1",
        "--minutes 90 --faults kill",
        "--faults wire-cut,kill,wire-cut",
        "--once",
        "--once --seed 0 --faults away-minutes,restart",
    ],
)
def test_the_printed_command_has_the_same_plan(run: Runs, plans: list[Plan], argv: str) -> None:
    output = run(*argv.split())
    assert "BREACH planted" in output
    run(*repeating(output))
    first, again = plans
    assert (again.seed, again.is_once, again.scale) == (first.seed, first.is_once, first.scale)
    assert list(again.kinds) == list(first.kinds)
    if not first.is_once:
        assert again.minutes == first.minutes


def test_what_was_left_out_is_not_in_the_command(run: Runs, plans: list[Plan]) -> None:
    left_out = dict.fromkeys(NEED_DISKS, "may not mount")
    run(*repeating(run("--once", left_out=left_out)))
    assert list(plans[1].kinds) == [k for k in FAULTS if k not in (*LONG, *NEED_DISKS)]


def test_where_every_kind_was_left_out_they_are_asked_for_again(
    run: Runs, plans: list[Plan]
) -> None:
    left_out = dict.fromkeys(NEED_DISKS, "may not mount")
    run(*repeating(run("--faults", ",".join(NEED_DISKS), left_out=left_out)))
    assert plans[0].kinds == plans[1].kinds


def test_without_a_breach_there_is_nothing_to_repeat(run: Runs) -> None:
    output = run("--faults", "kill", breaches=())
    assert "to repeat" not in output
    assert output.splitlines()[-1] == "every promise held"


def test_json_says_what_was_asked_for(run: Runs) -> None:
    output = run("--seed", "3", "--faults", "kill,pause", "--minutes", "0.5", "--json")
    assert '"seed":3,"kinds":["kill","pause"],"minutes":0.5,"once":false' in output.replace(" ", "")
