"""A real browser, without a window: Chromium, as one of the packages of tools/ brings it."""

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.tools import HOME, installed, run_node

_UNPACK = """
import { createReadStream, createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";
const [from, to] = process.argv.slice(2);
await pipeline(createReadStream(from), createBrotliDecompress(), createWriteStream(to));
"""
# It has no screen and no graphics, and may run as root in a container.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
)


@contextmanager
def browsing(url: str) -> Iterator[None]:
    """Show a page for as long as the context lasts."""
    home = unpacked()
    profile = Path(tempfile.mkdtemp(prefix="storelog-browser-"))
    environment = {**os.environ, "HOME": str(profile), "LD_LIBRARY_PATH": str(home / "lib")}
    with (profile / "said").open("wb") as said:
        argv = [
            str(home / "chromium"),
            *FLAGS,
            "--remote-debugging-port=0",
            f"--user-data-dir={profile / 'data'}",
            url,
        ]
        process = subprocess.Popen(
            argv, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
    try:
        yield
        assert process.poll() is None, (profile / "said").read_text("utf-8", "replace")[-2_000:]
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(profile, ignore_errors=True)


def unpacked() -> Path:
    """Unpack the program and its libraries once; return their directory."""
    packed = installed() / "node_modules" / "@sparticuz" / "chromium" / "bin"
    home = packed.parent / "unpacked"
    if home.is_dir():
        return home
    unfinished = Path(tempfile.mkdtemp(dir=HOME))
    script = unfinished / "unpack.mjs"
    script.write_text(_UNPACK)
    run_node(str(script), str(packed / "chromium.br"), str(unfinished / "chromium"))
    run_node(str(script), str(packed / "al2023.tar.br"), str(unfinished / "libraries.tar"))
    with tarfile.open(unfinished / "libraries.tar") as archive:
        # Python has filters since 3.11.4; what the system's own packages hold needs none.
        if hasattr(tarfile, "data_filter"):
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(unfinished)
    (unfinished / "chromium").chmod(0o755)
    unfinished.rename(home)
    return home
