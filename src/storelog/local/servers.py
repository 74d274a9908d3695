"""Chooses the servers that `storelog up` starts itself, and the four processes that it runs.

A server that a setting names is used as it is (`external`); each of the others is embedded.
Next: local/supervisor.py
"""

import json
import sys
import urllib.error
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from storelog.config import Settings
from storelog.local import kafka, mongodb, pgadmin, postgres
from storelog.local.ports import HOST, kept_ports
from storelog.local.program import Program
from storelog.proxies import open_url
from storelog.reasons import reason

PROCESSES = ("command-service", "relay", "projector", "query-service")
PROBE_SECONDS, MAX_PROBLEM_BYTES = 2.0, 65_536
_PORTS = ("postgresql", "kafka", "kafka_controller", "mongodb")
# The default ports for the health and metrics of the relay and the projector.
RELAY_PORT, PROJECTOR_PORT = 8090, 8091


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What is to run: complete settings, embedded servers, and names of external ones."""

    settings: Settings
    servers: list[Program]
    external: list[str]


def plan(
    settings: Settings,
    data_dir: Path,
    command_port: int,
    query_port: int,
    relay_port: int = RELAY_PORT,
    projector_port: int = PROJECTOR_PORT,
) -> RunPlan:
    """Prepare every server that no setting names. Raises CannotRun."""
    ports = kept_ports(data_dir, _PORTS)
    makers: dict[str, Callable[[], Program]] = {}
    external: list[str] = []
    complete = replace(
        settings,
        command_url=f"http://{HOST}:{command_port}",
        query_url=f"http://{HOST}:{query_port}",
        relay_url=f"http://{HOST}:{relay_port}",
        projector_url=f"http://{HOST}:{projector_port}",
    )
    if settings.postgres_url is None:
        complete = replace(complete, postgres_url=postgres.url(ports["postgresql"]))
        makers["postgresql"] = lambda: postgres.program(data_dir, ports["postgresql"])
    else:
        external.append("postgresql")
    if settings.kafka_bootstrap_servers is None:
        complete = replace(complete, kafka_bootstrap_servers=f"{HOST}:{ports['kafka']}")
        makers["kafka"] = lambda: kafka.program(data_dir, ports["kafka"], ports["kafka_controller"])
    else:
        external.append("kafka")
    if settings.mongodb_uri is None:
        complete = replace(complete, mongodb_uri=mongodb.url(ports["mongodb"]))
        makers["mongodb"] = lambda: mongodb.program(data_dir, ports["mongodb"])
    else:
        external.append("mongodb")
    # Side by side, since each may take seconds: jars, a JVM, initdb.
    with ThreadPoolExecutor(3) as pool:
        servers = list(pool.map(lambda make: make(), makers.values()))
    return RunPlan(complete, servers, external)


def pgadmin_program(settings: Settings, data_dir: Path) -> tuple[Program, str]:
    """Return pgAdmin 4 on the write database, and the address to open. Raises CannotRun."""
    port = kept_ports(data_dir, ("pgadmin",))["pgadmin"]
    made = pgadmin.program(data_dir, port, settings.postgres_url or "")
    return made, pgadmin.url(data_dir, port)


def processes(settings: Settings, data_dir: Path, environment: dict[str, str]) -> list[Program]:
    """Return the four processes, each listening where the settings say."""
    urls = (settings.command_url, settings.relay_url, settings.projector_url, settings.query_url)
    return [
        _process(name, url or "", data_dir, environment)
        for name, url in zip(PROCESSES, urls, strict=True)
    ]


def _process(name: str, url: str, data_dir: Path, environment: dict[str, str]) -> Program:
    address = urlsplit(url)
    argv = [sys.executable, "-m", "storelog", name, "--data-dir", str(data_dir)]
    return Program(
        name,
        [*argv, "--host", str(address.hostname), "--port", str(address.port)],
        data_dir / "logs" / f"{name}.log",
        lambda: is_ready(url),
        why_not_ready=lambda: why_not_ready(url),
        environment=environment,
        gives_way=name == "projector",
    )


def is_ready(url: str) -> bool:
    """Tell whether a process is ready."""
    return why_not_ready(url) is None


def why_not_ready(url: str) -> str | None:
    """Return None if a process is ready, else its reason, or why it does not respond."""
    return _probe(f"{url}/health/ready")


def is_live(url: str) -> bool:
    """Tell whether a process is alive; one that stands by is alive but not ready."""
    return _probe(f"{url}/health/live") is None


def _probe(address: str) -> str | None:
    try:
        with open_url(address, PROBE_SECONDS) as response:
            return None if response.status == 200 else f"it responds with {response.status}"
    except urllib.error.HTTPError as error:
        with error:
            return _detail(error)
    except (OSError, HTTPException) as error:
        cause = getattr(error, "reason", error)
        if isinstance(cause, TimeoutError):
            return "it does not respond in time"
        return reason(cause) if isinstance(cause, Exception) else str(cause)


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        problem = json.loads(error.read(MAX_PROBLEM_BYTES))
        return str(problem["detail"])
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return f"it responds with {error.code}"
