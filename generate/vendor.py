"""`make vendor`: fetch the files of others that the console serves, and check what came.

`VENDORED.json` names each npm package with its version, its tarball's SHA-256, its licence, and the
SHA-256 of each file that is taken from it. What differs is written nowhere.
"""

import io
import json
import tarfile
from hashlib import sha256
from pathlib import Path

from support.tools import npm_tarball

FOLDER = Path(__file__).parent.parent / "src" / "storelog" / "console" / "static" / "vendor"


def fetch() -> None:
    """Fetch, check and write every file. Raises ValueError for one that is another."""
    for package in json.loads((FOLDER / "VENDORED.json").read_text("utf-8")):
        named = f"{package['package']}@{package['version']}"
        raw = npm_tarball(named)
        _check(named, raw, package["sha256"])
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:gz") as archive:
            for name, wanted in package["files"].items():
                member = archive.extractfile(f"package/{wanted['from']}")
                body = b"" if member is None else member.read()
                _check(name, body, wanted["sha256"])
                (FOLDER / name).write_bytes(body)


def _check(name: str, body: bytes, expected: str) -> None:
    found = sha256(body).hexdigest()
    if found != expected:
        raise ValueError(f"{name} has the SHA-256 {found}, not {expected}")


if __name__ == "__main__":
    fetch()
