"""The two services on machines whose clocks are wrong, by libfaketime: OpenSSL's and libpq's, too.

The relay and the projector cannot run so: libfaketime lets Kafka's C library wait for ever. So the
Command Service does not compare the log with Kafka here. tests/faults/test_clocks_apart.py gives
all four a wrong clock in Python.
"""

from dataclasses import replace

import pytest

from storelog.config import Settings
from support.clocks import works_in_postgresqls_time
from support.debian import unpacked
from support.system import System, wait_for

pytestmark = [pytest.mark.servers, pytest.mark.alone]

HOURS = {"command-service": -48, "query-service": 30}


class Apart(System):
    """A system whose services have clocks of their own."""

    def start(self, name: str) -> None:
        settings = self.settings
        if name in HOURS:
            self.settings = replace(settings, kafka_bootstrap_servers=None)
            library = next(unpacked("libfaketime").rglob("libfaketimeMT.so.1"))
            self.environment_more = {
                "LD_PRELOAD": str(library),
                "FAKETIME": f"{HOURS[name]:+d}h",
                # Of a machine, too, only the time of day is wrong.
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        super().start(name)
        self.environment_more, self.settings = {}, settings


def test_services_whose_clocks_are_days_apart_respond_in_postgresqls_time(
    settings: Settings,
) -> None:
    with (
        Apart(settings) as system,
        Apart(system.settings, ("command-service",)) as second,
    ):
        works_in_postgresqls_time(system, HOURS["command-service"])

        def roles() -> set[str]:
            ready = [each.commands.get("/health/ready").json for each in (system, second)]
            return {str(said["role"]) for said in ready}

        # The certificate of the leader holds at any time.
        wait_for(lambda: roles() == {"leader", "follower"}, "one that leads the other")
