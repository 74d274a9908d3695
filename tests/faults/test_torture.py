"""`storelog torture`: each kind of fault once, from a seed that is printed, and no breach."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from storelog.torture.faults import FAULTS, LONG
from support.system import wait_for
from support.up import is_running

# The one that found most; `make torture` tries others.
SEED = int(os.environ.get("STORELOG_TEST_SEED") or 383856)


def torture(*argv: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "storelog", "torture", *argv],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def test_every_promise_holds_through_each_fault_once(tmp_path: Path) -> None:
    facts = survive(tmp_path / "home", "--once")
    assert set(facts["faults"]) | set(facts["left_out"]) == set(FAULTS) - set(LONG)
    assert facts["checked"]["requests"] > 100


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


def test_ctrl_c_ends_it_with_what_was_found_and_leaves_nothing_running(tmp_path: Path) -> None:
    home = tmp_path / "home"
    argv = [sys.executable, "-m", "storelog", "torture", "--faults", "kill", "--seed", str(SEED)]
    said = tmp_path / "said"
    with said.open("w") as errors:
        process = subprocess.Popen(
            [*argv, "--data-dir", str(home)], stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        wait_for(lambda: "; kill" in said.read_text(), "the first kills", 120)
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) > 5
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 3, said.read_text()
    assert "Traceback" not in said.read_text()
    assert "storelog: stopped before the checks" in said.read_text()
    assert f"seed{SEED:>45}" in output
    assert "every promise held" not in output
    assert not [child for child in children if is_running(child.pid)]
