"""The options that many commands share, and how a command gets its settings."""

import asyncio
import json
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from storelog.config import Loaded, Settings, load
from storelog.errors import BadUse, CannotRun, StorelogError
from storelog.running import is_running

if TYPE_CHECKING:
    from storelog.client import Problem, Storelog
    from storelog.results import Result

T = TypeVar("T")


def _directory(text: str) -> Path:
    """Return the path of an option; an empty one comes from an unset variable, and is an error."""
    if not text:
        raise typer.BadParameter("it is empty")
    return Path(text)


DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        parser=_directory,
        metavar="PATH",
        help="Where `storelog up` keeps its data (else STORELOG_DATA_DIR, else ./.storelog).",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print facts as one JSON object.")]
Host = Annotated[str, typer.Option("--host", help="The address to listen on.")]
Port = Annotated[int, typer.Option("--port", min=1, max=65535, help="The port to listen on.")]


def settings_of(data_dir: Path | None, *addresses: str) -> Loaded:
    """Return the settings of this command, which uses these addresses.

    Raises BadSetting, and CannotRun if nothing names one of them: the default addresses are for
    our processes to listen on; another process that listens there may be a stranger's shop.
    """
    loaded = load(data_dir=data_dir)
    missing = [f"STORELOG_{n.upper()}" for n in addresses if loaded.named(n) is None]
    if missing:
        home = loaded.data_dir
        state = "`storelog up` is not ready yet" if is_running(home) else "nothing runs"
        advice = "wait for it" if is_running(home) else f"start `storelog up --data-dir {home}`"
        raise CannotRun(f"{state} in {home}: {advice}, or set {' and '.join(missing)}")
    return loaded


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; of several simultaneous errors, raise the first."""
    try:
        return asyncio.run(work)
    except BaseExceptionGroup as group:
        # Tasks that run together fail together; the first failure explains the others.
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from group


def keep(settings: Settings, results: "list[Result]") -> None:
    """Record results for the console; a failure to record them is printed and changes nothing."""
    from storelog.results import record

    why_not = run_async(record(settings, results))
    if why_not is not None:
        print(f"storelog: {why_not}", file=sys.stderr)


@contextmanager
def client_of(settings: Settings) -> "Iterator[Storelog]":
    """Yield a client of the services that the settings name; a rejected request is BadUse."""
    from storelog.client import Problem, Storelog

    with Storelog(settings.command_url, settings.query_url, settings.api_key) as shop:
        try:
            yield shop
        except Problem as problem:
            raise explained(problem) from problem


def explained(problem: "Problem") -> StorelogError:
    """Return a service's problem as this command's error: what to set, where a key is missing."""
    what = str(problem).rstrip(".")
    if problem.status == 401:
        return BadUse(
            f"{what}: set STORELOG_API_KEY to a key that the service accepts"
            " (`storelog keys create NAME --role ROLE` makes one)"
        )
    if problem.status == 403:
        return BadUse(f"{what}: set STORELOG_API_KEY to a key of a higher role")
    return (BadUse if problem.status < 500 else CannotRun)(str(problem))


def print_json(facts: Any) -> None:
    """Print one JSON object on one line, escaped where the output's encoding lacks a character."""
    text = json.dumps(facts, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        text = json.dumps(facts)
    print(text, flush=True)
