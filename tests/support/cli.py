"""The command line with nothing configured but what a test names."""

import os
import subprocess
import sys


def run(*argv: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run it in an empty directory; return its exit code and its output."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("STORELOG_")}
    return subprocess.run(
        [sys.executable, "-m", "storelog", *argv],
        env={**clean, "STORELOG_DATA_DIR": "/nonexistent/storelog", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd="/",
    )
