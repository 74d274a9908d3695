"""Programs of Debian's packages, unpacked without root into a folder that is kept."""

import os
import subprocess
from pathlib import Path

CACHE = Path(__file__).parents[2] / "build" / "servers"
SECONDS = 300.0


def unpacked(*packages: str) -> Path:
    """Return the root folder under which the files of the packages are, fetched once."""
    home = CACHE / "-".join(packages)
    done = home / "unpacked"
    if not done.is_file():
        home.mkdir(parents=True, exist_ok=True)
        _run(["apt-get", "download", "--quiet", *packages], home)
        for archive in sorted(home.glob("*.deb")):
            _run(["dpkg", "-x", str(archive), str(home / "root")], home)
        done.touch()
    return home / "root"


def library_path(root: Path) -> str:
    """Return what LD_LIBRARY_PATH has to be for a program under the folder."""
    return ":".join(str(folder) for folder in sorted(root.glob("usr/lib/*")) if folder.is_dir())


def _run(argv: list[str], folder: Path) -> None:
    done = subprocess.run(
        argv,
        cwd=folder,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{argv[:2]} (after `apt-get update`?): {done.stderr[-500:]}"
