"""The command line: one command a file, and one table of exit codes.

0: done. 1: it ran and found a problem. 2: bad use. 3: it could not run. An error is one line on
stderr, never a traceback for something that a user did: a file that cannot be used, an output that
lacks a character, or one that its reader has closed.
"""

import errno
import io
import os
import signal
import sys
from typing import TextIO

import typer

from storelog import __version__
from storelog.cli import (
    config,
    dead_letters,
    demo,
    doctor,
    down,
    events,
    import_,
    install_mongodb,
    keys,
    lag,
    lanes,
    migrate,
    rebuild,
    recover,
    resend,
    services,
    status,
    torture,
    up,
    verify,
)
from storelog.errors import BadUse, CannotRun, HistoryMismatch, StorelogError

# Errors of a full disk or a quota, which take no more of the output.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

app = typer.Typer(
    name="storelog",
    help="An event-sourced commerce backend: CQRS over PostgreSQL, Kafka and MongoDB.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("up")(up.up)
app.command("down")(down.down)
app.command("status")(status.status)
app.command("lag")(lag.lag)
app.command("migrate")(migrate.migrate)
app.command("verify")(verify.verify)
app.command("events")(events.events)
app.command("resend")(resend.resend)
app.add_typer(lanes.app, name="lanes")
app.command("rebuild")(rebuild.rebuild)
app.command("recover")(recover.recover)
app.add_typer(dead_letters.app, name="dead-letters")
app.command("demo")(demo.demo)
app.command("torture")(torture.torture)
app.command("config")(config.config)
app.command("doctor")(doctor.doctor)
app.command("install-mongodb")(install_mongodb.install_mongodb)
app.add_typer(import_.app, name="import")
app.add_typer(keys.app, name="keys")
app.command("command-service")(services.command_service)
app.command("relay")(services.relay)
app.command("projector")(services.projector)
app.command("query-service")(services.query_service)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"storelog {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Print the version."
    ),
) -> None:
    return None


def main() -> None:
    """Run the command line and exit with its code."""
    _heed_sigterm()
    # Python has no object for a stream that was closed before the start: discard its output.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    stdout = sys.stdout
    try:
        code = _run()
        stdout.flush()
        # Typer takes a closed pipe for a failure, and replaces this stream.
        if sys.stdout is not stdout:
            code = _give_up(stdout, 0)
    except BrokenPipeError:
        # The reader of the output, such as `head`, has had enough: that is no error.
        code = _give_up(stdout, 0)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        code = _give_up(stdout, _fail(error.strerror, 3))
    sys.exit(code)


def _heed_sigterm() -> None:
    """Let SIGTERM end the first process of a container as it ends any other.

    The kernel delivers to process 1 only signals that it handles. Without this, a process that is
    starting, or a command that is no service, would run until the container is killed.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))


def _give_up(stdout: TextIO, code: int) -> int:
    """Discard the rest of the output; return the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
    return code


def _run() -> int | str | None:
    """Run the command that the arguments name; return its exit code."""
    try:
        app()
    except SystemExit as ended:
        return ended.code
    except BadUse as error:
        return _fail(error, 2)
    except (CannotRun, HistoryMismatch) as error:
        return _fail(error, 3)
    except StorelogError as error:
        return _fail_with(error)
    except OSError as error:
        if error.filename is None or isinstance(error, BrokenPipeError):
            raise
        return _fail(f"{error.filename}: {error.strerror}", 3)
    except UnicodeEncodeError as error:
        # Python represents bytes of an argument that are not text by lone surrogates.
        if not any("\ud800" <= character <= "\udfff" for character in error.object):
            raise
        return _fail(f"{error.object!a} is not UTF-8", 2)
    return 0


def _fail_with(error: StorelogError) -> int:
    """Print the problem that a service responded with; return its exit code."""
    from storelog.cli.options import explained
    from storelog.client import Problem

    if not isinstance(error, Problem):
        raise error
    told = explained(error)
    return _fail(told, 2 if isinstance(told, BadUse) else 3)


def _fail(error: object, code: int) -> int:
    print(f"storelog: {error}", file=sys.stderr)
    return code
