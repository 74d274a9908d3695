"""The whole retail year: `make test-retail`. Needs the real file."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from support.embedded import EmbeddedServers, new_settings
from support.system import System

FILE = os.environ.get("STORELOG_TEST_RETAIL_FILE")
pytestmark = [pytest.mark.retail, pytest.mark.alone]
PROJECTED_SECONDS = 15 * 60


def _kill_in_the_middle(system: System, argv: list[str], dice: random.Random) -> None:
    """Begin a command and kill it; the moment is drawn, since any step of it has to bear that."""
    process = subprocess.Popen(
        [sys.executable, "-m", "storelog", *argv],
        env=system.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    threading.Event().wait(dice.uniform(5, 40))
    process.send_signal(signal.SIGKILL)
    process.wait(10)


def test_the_whole_year_comes_out_to_the_penny(servers: EmbeddedServers) -> None:
    assert FILE, "make test-retail needs STORELOG_TEST_RETAIL_FILE to name the real file"
    with System(new_settings(servers)) as system:
        argv = ["import", "retail", str(Path(FILE)), "--json"]
        began = time.monotonic()
        seed = int(os.environ.get("STORELOG_TEST_SEED", random.randrange(10**6)))
        print(f"interrupted with seed {seed}")
        dice = random.Random(seed)
        for _ in range(2):
            _kill_in_the_middle(system, argv, dice)
        done = system.cli(*argv, seconds=PROJECTED_SECONDS)
        assert done.returncode == 0, done.stderr
        give_up_at = began + PROJECTED_SECONDS
        while system.queries.get("/analytics/total-sales").position < system.written():
            assert time.monotonic() < give_up_at, "the read model is not there in 15 minutes"
            # Asked once a second only, so that asking does not slow down what is timed.
            threading.Event().wait(1)
        print(f"imported and projected in {time.monotonic() - began:.0f} s")
        assert json.loads(done.stdout.splitlines()[-1]) == {
            "rows": 541_909,
            "orders": 19_960,
            "lines": 530_104,
            "units": 5_588_376,
            "revenue": "10666684.544",
            "customers": 4_338,
            "products": 3_922,
            "skipped": {"cancelled": 9_288, "quantity": 1_336, "price": 1_181},
        }
        queries = system.queries
        total = queries.get("/analytics/total-sales").json
        assert total == {"totalSales": "10666684.544", "unitsSold": 5_588_376, "orders": 19_960}
        totals = queries.get("/analytics/product-totals?limit=500").json["items"]
        assert (totals[0]["productName"], totals[0]["totalSales"]) == (
            "DOTCOM POSTAGE",
            "206248.77",
        )
        stand = next(t for t in totals if t["productName"] == "REGENCY CAKESTAND 3 TIER")
        assert stand["totalSales"] == "174484.74"
        top = queries.get("/analytics/top-customers?limit=2").json["items"]
        assert {t["name"] for t in top} == {"Guest", "Customer 14646"}
        best = next(t for t in top if t["name"] != "Guest")
        assert best["totalSpent"] == "280206.02"
        stocks = system.sql("SELECT DISTINCT stock FROM products")
        assert stocks == [{"stock": 100}]
        assert {p["stock"] for p in queries.pages("/products", 500)} == {100}
        largest = system.sql("SELECT max(n) AS n FROM (SELECT count(*) AS n FROM order_items"
                             " GROUP BY order_id) AS lines")  # fmt: skip
        assert largest == [{"n": 1_114}]
        began = time.monotonic()
        verified = system.cli("verify", seconds=900)
        print(f"verified in {time.monotonic() - began:.0f} s")
        assert verified.returncode == 0, verified.stdout
