"""`python -m support.killed SIGNAL STEP ARGV...`: a command that gets a signal at one of its steps.

STEP is MODULE:NAME and `@before` or `@after`: a function whose call, or return, is the moment. So a
command ends, or stands still, there and nowhere else, and the program needs no hook for it.
"""

import importlib
import inspect
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent.parent


def start(
    environment: Mapping[str, str], step: str, *argv: str, signal_name: str = "SIGKILL"
) -> "subprocess.Popen[str]":
    """Run a command of the command line, up to the step."""
    program = [sys.executable, "-m", "support.killed", signal_name, step, *argv]
    return subprocess.Popen(
        program,
        env={**environment, "PYTHONPATH": str(TESTS)},
        cwd=TESTS,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill(environment: Mapping[str, str], step: str, *argv: str) -> None:
    """Run a command that is killed with -9 at the step, and see that it came there."""
    process = start(environment, step, *argv)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, f"{step}: {output}{errors}"


def _patch(step: str, happen: Callable[[], None]) -> None:
    place, _, when = step.partition("@")
    module, _, name = place.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, last = name.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    whole = getattr(owner, last)

    async def end(result: Any) -> Any:
        done = await result
        happen()
        return done

    def patched(*arguments: Any, **named: Any) -> Any:
        if when == "before":
            happen()
        result = whole(*arguments, **named)
        if when == "after" and inspect.isawaitable(result):
            return end(result)
        if when == "after":
            happen()
        return result

    setattr(owner, last, patched)


def main() -> None:
    """Patch the step, and run the command."""
    number, step = signal.Signals[sys.argv[1]], sys.argv[2]
    del sys.argv[1:3]
    from storelog.cli.main import main as run

    _patch(step, lambda: os.kill(os.getpid(), number))
    run()


if __name__ == "__main__":
    main()
