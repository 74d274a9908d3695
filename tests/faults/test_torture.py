"""`storelog torture`: each kind of fault once, from a seed that is printed, and no breach."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

from storelog.torture.faults import FAULTS

SEED = int(os.environ.get("STORELOG_TEST_SEED") or random.randrange(10**6))


def torture(*argv: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "storelog", "torture", *argv],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def test_every_promise_holds_through_each_fault_once(tmp_path: Path) -> None:
    print(f"storelog torture --once --seed {SEED}")
    home = tmp_path / "home"
    done = torture("--once", "--seed", str(SEED), "--json", "--data-dir", str(home))
    assert done.stdout, done.stderr
    facts = json.loads(done.stdout.splitlines()[-1])
    assert facts["breaches"] == [], f"seed {SEED}"
    assert done.returncode == 0
    assert facts["seed"] == SEED
    assert set(facts["faults"]) | set(facts["left_out"]) == set(FAULTS)
    assert facts["checked"]["requests"] > 100
    assert (home / "ledger.jsonl").is_file()


def test_an_unknown_fault_is_bad_use() -> None:
    done = torture("--faults", "kill,rain")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "'rain' is not one of kill" in done.stderr
