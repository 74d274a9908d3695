"""`storelog up`: starts everything with one command."""

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from storelog.cli.options import DataDir, settings_of
from storelog.config import Settings
from storelog.errors import BadUse, CannotRun
from storelog.setting_types import mask_url

DETACH_SECONDS = 240.0
# Fetching pgAdmin 4 for the first time takes minutes.
PGADMIN_SECONDS = 1_200.0
_FIRST = """curl -i -X POST {url}/products -H 'Content-Type: application/json' \\
       -d '{{"name": "Cake stand", "price": "12.75", "stock": 10}}'"""


def _port(help_text: str) -> Any:
    return typer.Option(min=1, max=65535, help=help_text)


def up(
    data_dir: DataDir = None,
    command_port: Annotated[int, _port("The Command Service's port.")] = 8080,
    query_port: Annotated[int, _port("The Query Service's port.")] = 8081,
    relay_port: Annotated[int, _port("The relay's port: health and metrics.")] = 8090,
    projector_port: Annotated[int, _port("The projector's port: health and metrics.")] = 8091,
    pgadmin: Annotated[
        bool, typer.Option("--pgadmin", help="Start pgAdmin 4 on the write database too.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return once everything is ready.")
    ] = False,
) -> None:
    """Start servers for what is not configured, and the four processes.

    Ctrl-C or `storelog down` stops everything. Example: storelog up --command-port 9080 --detach
    """
    ports = (command_port, query_port, relay_port, projector_port)
    if len(set(ports)) < len(ports):
        raise BadUse("--command-port, --query-port, --relay-port and --projector-port must differ")
    home = settings_of(data_dir).data_dir
    if detach:
        more = ["--pgadmin"] if pgadmin else []
        _detach(home, ports, more)
        return
    from storelog.config import load
    from storelog.local.supervisor import Supervisor
    from storelog.web.hosts import check_allowed_hosts

    began = time.monotonic()
    # Settings of an `up` that runs on this directory must not count: this one replaces it.
    loaded = load(data_dir=data_dir, use_running=False)
    settings = loaded.settings
    check_allowed_hosts(settings)
    # The addresses for clients, which may differ from those that the services listen on.
    public = {
        f"STORELOG_{name.upper()}": url
        for name in ("command_url", "query_url")
        if (url := loaded.named(name)) is not None
    }

    def ready(complete: Settings) -> None:
        _say(f"Storelog is ready after {time.monotonic() - began:.1f} s\n")
        print(_addresses(complete), flush=True)

    supervisor = Supervisor(home, _say, public)
    supervisor.run(
        settings,
        command_port,
        query_port,
        ready,
        relay_port=relay_port,
        projector_port=projector_port,
        with_pgadmin=pgadmin,
    )
    _say("stopped")


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)


def _addresses(settings: Settings) -> str:
    rows = [
        ("Command Service", f"{settings.command_url}  (to read: {settings.command_url}/docs)"),
        *([("Console", f"{settings.query_url}/console")] if settings.console else []),
        ("Query Service", f"{settings.query_url}  (to read: {settings.query_url}/docs)"),
        ("PostgreSQL", mask_url(settings.postgres_url or "")),
        ("Kafka", settings.kafka_bootstrap_servers or ""),
        ("MongoDB", mask_url(settings.mongodb_uri or "")),
    ]
    table = "\n".join(f"  {name:<16} {address}" for name, address in rows)
    first = _FIRST.format(url=settings.command_url)
    return f"{table}\n\nTry:\n  {first}\n\nCtrl-C stops everything."


def _detach(home: Path, ports: tuple[int, ...], more: list[str]) -> None:
    """Start `up` in a session of its own, and wait until it is ready or has failed.

    Its output is printed once it is ready, or as it comes if `more` has to be downloaded.
    """
    from storelog.local import run_file
    from storelog.local.supervisor import PORT_FLAGS

    run_file.make(home)
    logs = home / "logs"
    try:
        # The log shows pgAdmin's address, which admits anyone who has it: keep it from others.
        (logs / "up.log").touch(mode=0o600)
    except OSError as error:
        raise BadUse(f"--data-dir {home} cannot be used: {error.strerror}") from error
    argv = [sys.executable, "-m", "storelog", "up", "--data-dir", str(home)]
    for flag, port in zip(PORT_FLAGS, ports, strict=True):
        argv += [flag, str(port)]
    argv += more
    shown = 0
    # Emptied, so that the error of an earlier run is not taken for one of this run.
    (logs / "up.log").write_bytes(b"")
    with (logs / "up.log").open("a") as log:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        seconds = PGADMIN_SECONDS if more else DETACH_SECONDS
        give_up_at = time.monotonic() + seconds
        while time.monotonic() < give_up_at:
            facts = run_file.read(home)
            if facts and facts["pid"] == process.pid and facts["state"] == "ready":
                break
            if process.poll() is not None:
                _fail(process.returncode, (logs / "up.log").read_text("utf-8"))
            shown += _show(logs / "up.log", shown) if more else 0
            # It writes to its file that it is ready, or it ends: poll for both until the deadline.
            threading.Event().wait(0.1)
        else:
            process.terminate()
            raise CannotRun(f"`storelog up` was not ready within {seconds:.0f} s")
    _show(logs / "up.log", shown)


def _show(log: Path, shown: int) -> int:
    """Print the whole lines of a log after so many characters; return how many those are."""
    # A line that is not complete yet is printed the next time.
    whole = log.read_text("utf-8", "replace")[shown:].rpartition("\n")[0]
    if not whole:
        return 0
    print(whole.replace("Ctrl-C stops", "`storelog down` stops"), flush=True)
    return len(whole) + 1


def _fail(code: int, output: str) -> None:
    lines = output.strip().splitlines() or ["storelog: it ended without a message"]
    message = next((line for line in lines if line.startswith("storelog: ")), lines[-1])
    rest = lines[lines.index(message) + 1 :]
    text = "\n".join([message.removeprefix("storelog: "), *rest])
    raise BadUse(text) if code == 2 else CannotRun(text)
