"""The two services on machines whose clocks are wrong, by libfaketime: OpenSSL's and libpq's, too.

The relay and the projector cannot run so: libfaketime lets Kafka's C library wait for ever.
tests/faults/test_clocks_apart.py gives all four a wrong clock in Python.
"""

from datetime import timedelta

import pytest

from storelog.config import Settings
from storelog.envelope import parse_time
from support.debian import unpacked
from support.projected import verified
from support.system import System, trade, wait_for

pytestmark = [pytest.mark.servers, pytest.mark.alone]

HOURS = {"command-service": -48, "query-service": 30}


class Apart(System):
    """A system whose services have clocks of their own."""

    def start(self, name: str) -> None:
        if name in HOURS:
            library = next(unpacked("libfaketime").rglob("libfaketimeMT.so.1"))
            self.environment_more = {
                "LD_PRELOAD": str(library),
                "FAKETIME": f"{HOURS[name]:+d}h",
                # Of a machine, too, only the time of day is wrong.
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        super().start(name)
        self.environment_more = {}


def test_services_whose_clocks_are_days_apart_respond_in_postgresqls_time(
    settings: Settings,
) -> None:
    with (
        Apart(settings) as system,
        Apart(system.settings, ("command-service",)) as second,
    ):
        trade(system)
        order = system.new_order(3, (3, 1))
        now = system.sql("SELECT clock_timestamp() AS at")[0]["at"]
        assert abs(parse_time(order["orderDate"]) - now) < timedelta(minutes=1)
        system.wait_projected()
        assert verified(system)["position"] == system.written()
        found = system.commands.get("/health/ready").json["clockDifferenceSeconds"]
        assert abs(found - 3600 * HOURS["command-service"]) < 60

        def roles() -> set[str]:
            ready = [each.commands.get("/health/ready").json for each in (system, second)]
            return {str(said["role"]) for said in ready}

        # The certificate of the leader holds at any time.
        wait_for(lambda: roles() == {"leader", "follower"}, "one that leads the other")
