"""pgAdmin 4 for `storelog up --pgadmin`: from the package index, in an environment of its own.

It listens on loopback only, and needs the key in its address; it knows the write database and the
queries in `queries/` from the start. Its files are in the data directory.
Next: local/supervisor.py
"""

import json
import os
import secrets
import sqlite3
import subprocess
import sys
import urllib.error
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any

from storelog.errors import CannotRun
from storelog.local.ports import HOST
from storelog.local.program import Program
from storelog.postgres_address import DEFAULT_PORT, parse_address
from storelog.proxies import open_url

REQUIREMENT = "pgadmin4>=9.10,<10"
INSTALL_SECONDS = 900.0
SETUP_SECONDS = 300.0
DESKTOP_USER = "pgadmin4@pgadmin.org"
SERVER_NAME = "Storelog (write database)"
_CONFIG = """import os
SERVER_MODE = False
DATA_DIR = os.environ["STORELOG_PGADMIN_HOME"]
LOG_FILE = os.path.join(DATA_DIR, "pgadmin4.log")
SQLITE_PATH = os.path.join(DATA_DIR, "pgadmin4.db")
SESSION_DB_PATH = os.path.join(DATA_DIR, "sessions")
STORAGE_DIR = os.path.join(DATA_DIR, "storage")
DEFAULT_SERVER = "127.0.0.1"
MASTER_PASSWORD_REQUIRED = False
USE_OS_SECRET_STORAGE = False
UPGRADE_CHECK_ENABLED = False
"""


def queries() -> dict[str, str]:
    """Return the saved queries by name."""
    entries = files("storelog.local").joinpath("queries").iterdir()
    named = {e.name.removesuffix(".sql").replace("-", " "): e.read_text("utf-8") for e in entries}
    return dict(sorted(named.items()))


def servers_json(postgres_url: str, passfile: Path) -> dict[str, Any]:
    """Return the file by which pgAdmin knows the write database; it has no password."""
    address = parse_address(postgres_url)
    named = address.parameters
    host, port = address.hosts[0] if address.hosts else ("localhost", DEFAULT_PORT)
    parameters = {
        "sslmode": named.get("sslmode", "prefer"),
        "connect_timeout": 10,
        # If a file is named, even an empty one, pgAdmin does not ask for a password.
        "passfile": str(passfile),
    }
    entry = {
        "Name": SERVER_NAME,
        "Group": "Storelog",
        "Host": host,
        "Port": port,
        "MaintenanceDB": named.get("dbname", "postgres"),
        "Username": named.get("user", "postgres"),
        "ConnectionParameters": parameters,
    }
    return {"Servers": {"1": entry}}


def program(data_dir: Path, port: int, postgres_url: str) -> Program:
    """Install it (once for this user), set it up for this database; return it. Raises CannotRun."""
    environment = _environment()
    package = _package(environment)
    home = data_dir / "pgadmin"
    home.mkdir(mode=0o700, exist_ok=True)
    key = _key(home)
    variables = {
        "STORELOG_PGADMIN_HOME": str(home),
        "PGADMIN_SERVER_MODE": "OFF",
        "PGADMIN_INT_PORT": str(port),
        "PGADMIN_INT_KEY": key,
    }
    python = str(environment / "bin" / "python")
    _set_up(python, package, home, variables, postgres_url)
    return Program(
        "pgadmin",
        [python, str(package / "pgAdmin4.py")],
        data_dir / "logs" / "pgadmin.log",
        lambda: is_ready(url(data_dir, port)),
        version=_version(package),
        environment=variables,
    )


def url(data_dir: Path, port: int) -> str:
    """Return the address to open, with the key that it needs."""
    return f"http://{HOST}:{port}/?key={_key(data_dir / 'pgadmin')}"


def _key(home: Path) -> str:
    path = home / "key"
    if not path.is_file():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(24))
    return path.read_text("utf-8")


def _environment() -> Path:
    """Return its own environment in the user's cache, made once; an incomplete one is made anew."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    version = "".join(str(part) for part in sys.version_info[:2])
    home = cache / "storelog" / f"pgadmin4-python{version}"
    mark = home / "installed"
    if mark.is_file() and mark.read_text("utf-8") == REQUIREMENT:
        return home
    home.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-m", "venv", "--clear", str(home)], {}, INSTALL_SECONDS)
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    _run([*pip, "--disable-pip-version-check", REQUIREMENT], {}, INSTALL_SECONDS)
    (_package(home) / "config_local.py").write_text(_CONFIG, "utf-8")
    # Written last: an environment without the mark is incomplete, and made anew.
    mark.write_text(REQUIREMENT, "utf-8")
    return home


def _package(environment: Path) -> Path:
    found = next(environment.glob("lib/python*/site-packages/pgadmin4"), None)
    if found is None:
        raise CannotRun(f"pgAdmin 4 is incomplete: remove {environment} and try again")
    return found


def _set_up(
    python: str, package: Path, home: Path, variables: dict[str, str], postgres_url: str
) -> None:
    passfile = _passfile(home, parse_address(postgres_url).parameters.get("password", ""))
    servers = home / "servers.json"
    servers.write_text(json.dumps(servers_json(postgres_url, passfile), indent=2) + "\n", "utf-8")
    setup = [python, str(package / "setup.py")]
    _run([*setup, "setup-db"], variables, SETUP_SECONDS)
    load = ["load-servers", str(servers), "--replace", "--user", DESKTOP_USER]
    output = _run([*setup, *load], variables, SETUP_SECONDS)
    with closing(sqlite3.connect(home / "pgadmin4.db", timeout=10)) as database, database:
        (known,) = database.execute(
            "SELECT count(*) FROM server WHERE name = ?", (SERVER_NAME,)
        ).fetchone()
        if not known:
            raise CannotRun(f"pgAdmin 4 did not take the server: {output[-500:]}")
        database.execute("DELETE FROM user_macros WHERE name LIKE 'Storelog: %'")
        database.executemany(
            "INSERT INTO user_macros (uid, name, sql) SELECT id, ?, ? FROM user WHERE username = ?",
            [(f"Storelog: {name}", sql, DESKTOP_USER) for name, sql in queries().items()],
        )


def _passfile(home: Path, password: str) -> Path:
    path = home / "pgpass"
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"*:*:*:*:{escaped}\n" if password else "")
    return path


def _run(argv: list[str], variables: dict[str, str], seconds: float) -> str:
    try:
        done = subprocess.run(
            argv,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise CannotRun(f"pgAdmin 4: {argv[1:3]} took more than {seconds:.0f} s") from error
    if done.returncode:
        raise CannotRun(
            f"pgAdmin 4 cannot be set up: {(done.stderr or done.stdout)[-500:].strip()}"
        )
    return done.stdout + done.stderr


def _version(package: Path) -> str:
    found = next(package.parent.glob("pgadmin4-*.dist-info"), None)
    return found.name.removeprefix("pgadmin4-").removesuffix(".dist-info") if found else ""


def is_ready(address: str) -> bool:
    """Tell whether pgAdmin responds."""
    try:
        with open_url(address.replace("/?", "/misc/ping?"), 2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
