"""Four processes on machines whose clocks are days apart do their work in PostgreSQL's time."""

import pytest

from storelog.config import Settings
from support.clocks import works_in_postgresqls_time
from support.system import System, wait_for

pytestmark = pytest.mark.alone

HOURS = {"command-service": -48.0, "relay": 30.0, "projector": 72.0, "query-service": -5.0}


class Apart(System):
    """A system each of whose processes has a clock of its own."""

    def start(self, name: str) -> None:
        self._clock_seconds = 3600 * HOURS[name]
        super().start(name)
        self._clock_seconds = 0.0


def test_four_processes_whose_clocks_are_days_apart_do_their_work_in_postgresqls_time(
    settings: Settings,
) -> None:
    with Apart(settings) as system:
        works_in_postgresqls_time(system, HOURS["command-service"])
        # Ahead of what the relay's watermarks say of PostgreSQL's time.
        wait_for(
            lambda: "differs from PostgreSQL's" in " ".join(system.log_lines("projector")),
            "the projector to say that its clock is wrong",
        )
