"""Fetches the official MongoDB Community server once; `storelog up` uses it from then on.

Guarantees that an installed server is complete: the archive is compared with its SHA-256, unpacked
beside its place and moved there in one step; an interrupted download continues where it was.
Next: local/mongodb.py
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from storelog.errors import BadUse, CannotRun
from storelog.proxies import open_url
from storelog.reasons import reason

VERSION = "8.0.17"
OFFICIAL = "https://fastdl.mongodb.org"
LICENCE = "Server Side Public License, version 1 (SSPL-1.0)"
LICENCE_URL = "https://www.mongodb.com/legal/licensing/server-side-public-license"
TIMEOUT_SECONDS = 30.0
GIVE_UP_SECONDS = 3600.0
MAX_BYTES = 2 * 1024**3
_CHUNK = 1024 * 1024
# The archive also has tools that are not needed, and paths that must not be trusted.
_KEPT = re.compile(r"[^/]+/(bin/mongod|LICENSE[^/]*|MPL-2|README|THIRD-PARTY-NOTICES)")
Show = Callable[[str, int, int], None]


def home() -> Path:
    """Return where downloaded servers are kept: one folder a version, for all data directories."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "storelog" / "mongodb"


def installed() -> Path | None:
    """Return the newest `mongod` that was installed here."""
    found = [mongod for mongod in home().glob("*/bin/mongod") if _number(mongod.parts[-3])]
    return max(found, key=lambda mongod: _number(mongod.parts[-3]), default=None)


def _number(version: str) -> tuple[int, ...]:
    is_version = re.fullmatch(r"\d+(\.\d+){2}", version)
    return tuple(int(part) for part in version.split(".")) if is_version else ()


def archive_path(version: str, system: str, machine: str, os_release: Mapping[str, str]) -> str:
    """Return the archive's path on the official server. Raises CannotRun for other platforms."""
    if not _number(version):
        raise BadUse(f"--version: {version!r} is not a version such as {VERSION}")
    chip = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
    name = chip.get(machine)
    if system == "Darwin" and name is not None:
        return f"osx/mongodb-macos-{machine}-{version}.tgz"
    target = _target(os_release, name or "") if system == "Linux" else None
    if name is None or target is None:
        raise CannotRun(
            f"MongoDB has no build for {system} {machine} {os_release.get('PRETTY_NAME', '')};"
            " `storelog up` also uses any `mongod` on PATH"
        )
    return f"linux/mongodb-linux-{name}-{target}-{version}.tgz"


def _target(os_release: Mapping[str, str], machine: str) -> str | None:
    major = int(re.match(r"\d*", os_release.get("VERSION_ID", ""))[0] or 0)  # type: ignore[index]
    for name in (os_release.get("ID", ""), *os_release.get("ID_LIKE", "").split()):
        if name == "ubuntu":
            is_own = os_release.get("ID") == "ubuntu"
            return "ubuntu2204" if not is_own or 22 <= major < 24 else _ubuntu(major)
        if name == "debian":
            return "debian12" if machine == "x86_64" else "ubuntu2204"
        if name in ("rhel", "fedora", "centos", "rocky", "almalinux", "ol"):
            return "rhel8" if major == 8 else "rhel93"
        if name == "amzn":
            return "amazon2023"
        if name in ("sles", "suse", "opensuse-leap") and machine == "x86_64":
            return "suse15"
    return None


def _ubuntu(major: int) -> str:
    return "ubuntu2404" if major >= 24 else "ubuntu2004"


def this_platform(version: str) -> str:
    """Return the archive's path for the machine that this runs on. Raises CannotRun."""
    try:
        os_release = platform.freedesktop_os_release()
    except OSError:
        os_release = {}
    return archive_path(version, platform.system(), platform.machine(), os_release)


def install(url: str, version: str, sha256: str | None, show: Show) -> Path:
    """Fetch, check, unpack and try; return the `mongod`. Raises CannotRun and BadUse.

    Without `sha256` (hex) the sum is the one that the server publishes beside the archive.
    """
    home().mkdir(parents=True, exist_ok=True)
    with _alone():
        partial = home() / f".{url.rpartition('/')[2]}.part"
        wanted = sha256 or _published_sum(url)
        _download(url, partial, show)
        try:
            found = _sum_of(partial)
            if found != wanted.lower():
                raise CannotRun(f"{url} has the SHA-256 {found}, not {wanted}: nothing installed")
            return _unpack(partial, version)
        finally:
            partial.unlink()


@contextmanager
def _alone() -> Iterator[None]:
    with (home() / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadUse("another `storelog install-mongodb` is running") from None
        yield


def _published_sum(url: str) -> str:
    try:
        with open_url(f"{url}.sha256", TIMEOUT_SECONDS) as response:
            text = response.read(1_000).decode("ascii", "replace")
    except (OSError, HTTPException, ValueError) as error:
        raise CannotRun(f"{url}.sha256 cannot be fetched: {_why(error)}") from error
    found = re.match(r"[0-9a-fA-F]{64}\b", text)
    if found is None:
        raise CannotRun(f"{url}.sha256 is not a SHA-256: {text[:80]!r}")
    return found[0]


def _download(url: str, partial: Path, show: Show) -> None:
    """Download into `partial`, continuing after what is already there."""
    have = partial.stat().st_size if partial.is_file() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(url, headers=headers)
    give_up_at = time.monotonic() + GIVE_UP_SECONDS
    try:
        with open_url(request, TIMEOUT_SECONDS) as response:
            # A server that ignores the range sends the whole file: begin anew.
            have = have if response.status == 206 else 0
            total = have + int(response.headers.get("Content-Length") or 0)
            with partial.open("ab" if have else "wb") as file:
                while chunk := response.read(_CHUNK):
                    have += file.write(chunk)
                    if have > MAX_BYTES or time.monotonic() > give_up_at:
                        raise CannotRun(f"{url} is too large or too slow: {have} bytes so far")
                    show("downloaded", have, max(total, have))
    except urllib.error.HTTPError as error:
        if error.code == 416:
            # The file is complete already; the SHA-256 then tells whether it is right.
            return
        raise CannotRun(f"{url}: {error.code} {error.reason}") from error
    except (OSError, HTTPException, ValueError) as error:
        why = _why(error)
        raise CannotRun(f"{url} broke off after {have} bytes, run it again: {why}") from error
    if have < total:
        raise CannotRun(f"{url} broke off after {have} of {total} bytes: run it again to go on")


def _why(error: Exception) -> str:
    """Return why a download failed, without the library's internals."""
    if isinstance(error, urllib.error.HTTPError):
        return f"{error.code} {error.reason}"
    cause = getattr(error, "reason", error)
    return reason(cause) if isinstance(cause, Exception) else str(cause)


def _sum_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpack(archive: Path, version: str) -> Path:
    """Unpack beside the place, check that it runs, and move it there in one step."""
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=home()))
    try:
        _extract(archive, unfinished)
        _try(unfinished / "bin" / "mongod")
        place = home() / version
        if place.exists():
            shutil.rmtree(place)
        unfinished.chmod(0o755)
        unfinished.rename(place)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return place / "bin" / "mongod"


def _extract(archive: Path, target: Path) -> None:
    try:
        with tarfile.open(archive) as packed:
            for member in packed:
                if member.isfile() and _KEPT.fullmatch(member.name):
                    _copy(packed, member, target / member.name.partition("/")[2])
    except (tarfile.TarError, EOFError) as error:
        raise CannotRun(f"{archive.name} cannot be unpacked: {error}") from error
    if not (target / "bin" / "mongod").is_file():
        raise CannotRun(f"{archive.name} has no bin/mongod")


def _copy(packed: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    """Write one file without its owner and special bits; tarfile's filters came with 3.11.4."""
    place.parent.mkdir(parents=True, exist_ok=True)
    content = packed.extractfile(member)
    assert content is not None
    with content, place.open("wb") as file:
        shutil.copyfileobj(content, file)
    place.chmod(0o755 if member.mode & 0o100 else 0o644)


def _try(mongod: Path) -> None:
    try:
        done = subprocess.run(
            [str(mongod), "--version"], capture_output=True, text=True, timeout=60, check=False
        )
    except OSError as error:
        raise CannotRun(f"the mongod of the archive cannot be started: {error}") from error
    if done.returncode:
        raise CannotRun(f"the mongod of the archive does not run here: {done.stderr.strip()[:300]}")
