"""`storelog torture`: each kind of fault once, from a seed that is printed, and no breach."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from storelog.torture.faults import FAULTS

SEED = int(os.environ.get("STORELOG_TEST_SEED") or random.randrange(10**6))

SHORT = ("kill", "postgresql-stop", "wire-commit")


def torture(*argv: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "storelog", "torture", *argv],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


@pytest.mark.torture
def test_every_promise_holds_through_each_fault_once(tmp_path: Path) -> None:
    facts = survive(tmp_path / "home", "--once")
    assert set(facts["faults"]) | set(facts["left_out"]) == set(FAULTS)
    assert facts["checked"]["requests"] > 100


def test_every_promise_holds_through_kills_and_a_lost_commit(tmp_path: Path) -> None:
    facts = survive(tmp_path / "home", "--once", "--faults", ",".join(SHORT))
    assert set(facts["faults"]) == set(SHORT)


def survive(home: Path, *argv: str) -> dict[str, Any]:
    """Run the kit from the seed, and return its facts; no breach."""
    print(f"storelog torture --seed {SEED} {' '.join(argv)}")
    done = torture(*argv, "--seed", str(SEED), "--json", "--data-dir", str(home))
    assert done.stdout, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert facts["breaches"] == [], f"seed {SEED}"
    assert (done.returncode, facts["seed"]) == (0, SEED)
    assert (home / "ledger.jsonl").is_file()
    return facts


def test_an_unknown_fault_is_bad_use() -> None:
    done = torture("--faults", "kill,rain")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "'rain' is not one of kill" in done.stderr
