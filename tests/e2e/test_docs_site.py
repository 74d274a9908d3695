"""The docs site builds without a warning."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING  -" not in done.stderr
    assert "unrecognized relative link" not in done.stderr
    assert "not included in the" not in done.stderr, "a page that the navigation lacks"
    pages = ("tutorial", "reference/cli", "reference/problems", "architecture", "contributing")
    for page in (*pages, "decisions"):
        assert (tmp_path / page / "index.html").is_file()
