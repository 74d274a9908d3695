"""`storelog torture`: checks every promise while processes die and servers vanish."""

import secrets
import shlex
import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from storelog.cli.options import AsJson, print_json
from storelog.errors import BadUse, CannotRun

# Shown only in the command that repeats the run.
_ASKED = ("kinds", "minutes", "once")


def torture(
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            help="A new directory for servers, logs and ledger, which is kept (else a temporary"
            " one, kept after a breach).",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="The same seed draws the same faults.", show_default=False)
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.1, max=10_080, help="Minutes of faults.")] = 10,
    faults: Annotated[
        str | None,
        typer.Option(help="Kinds, separated by commas (default: all).", show_default=False),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Each short kind once; --minutes has no effect.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run load and faults against a system of its own, check every promise; exit 1 on a breach.

    Example: storelog torture --minutes 5 --faults kill,pause,wire-commit
    """
    from storelog.torture.torture import Plan, Torture, install_stop_signals

    kinds = _kinds(faults, once=once)
    if data_dir is not None and data_dir.exists() and any(data_dir.iterdir()):
        raise BadUse(f"--data-dir {data_dir} is not empty: torture needs a new one")
    chosen = secrets.randbelow(10**6) if seed is None else seed
    home = data_dir or Path(tempfile.mkdtemp(prefix="storelog-torture-"))
    home.mkdir(parents=True, exist_ok=True)
    # From here on Ctrl-C ends the run in order, and shows what was found so far.
    install_stop_signals()
    _say(f"seed {chosen}, in {home}")
    facts: dict[str, Any] | None = None
    try:
        plan = Plan(chosen, kinds, minutes, once)
        facts = Torture(plan, home.resolve(), _say).run()
    except KeyboardInterrupt:
        raise CannotRun("stopped before the system was ready: nothing was tried") from None
    finally:
        # After a breach, the ledger and the logs are the evidence: keep them.
        if data_dir is None and facts is not None and not facts["breaches"]:
            shutil.rmtree(home, ignore_errors=True)
        else:
            _say(f"ledger and logs are in {home}")
    if as_json:
        print_json(facts)
    else:
        _show(facts)
    if facts["breaches"]:
        raise typer.Exit(1)
    if facts["interrupted"]:
        raise CannotRun("stopped before the checks: no breach was seen until then, none is proven")


def _kinds(faults: str | None, *, once: bool) -> list[str]:
    from storelog.torture.faults import FAULTS, LONG

    every = [kind for kind in FAULTS if not (once and kind in LONG)]
    kinds = every if faults is None else [kind.strip() for kind in faults.split(",")]
    unknown = [kind for kind in kinds if kind not in FAULTS]
    if unknown:
        raise BadUse(f"--faults: {unknown[0]!r} is not one of {', '.join(FAULTS)}")
    return kinds


def repeating(facts: dict[str, Any]) -> str:
    """Return the command that draws the same faults again, from the facts of a run.

    The order of the faults and their lengths depend on kinds, minutes and `--once` too. Kinds that
    were left out must not be drawn in the repetition either.
    """
    once = facts["once"]
    length = ["--once"] if once else ["--minutes", str(facts["minutes"]).removesuffix(".0")]
    argv = ["storelog", "torture", "--seed", str(facts["seed"]), *length]
    dealt = [kind for kind in facts["kinds"] if kind not in facts["left_out"]] or facts["kinds"]
    if dealt != _kinds(None, once=once):
        argv += ["--faults", ",".join(dealt)]
    return shlex.join(argv)


def _say(line: str) -> None:
    typer.echo(f"{time.strftime('%H:%M:%S')}  {line}", err=True)


def _show(facts: dict[str, Any]) -> None:
    for name, value in facts.items():
        if name in _ASKED:
            continue
        if isinstance(value, dict):
            print(f"{name}:")
            for what, number in value.items():
                print(f"  {what:<36} {number:>10}")
        elif name not in ("breaches", "interrupted"):
            print(f"{name:<38} {value:>10}")
    for breach in facts["breaches"]:
        print(f"BREACH {breach}")
    if facts["breaches"]:
        print(f"to repeat: {repeating(facts)}")
    elif not facts["interrupted"]:
        print("every promise held")
