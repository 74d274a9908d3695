"""One trial of a fault: the rig, the random choices, and what must hold during the fault.

Next: torture/faults/processes.py
"""

import http.client
import random
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from storelog.torture.ledger import REJECTIONS, RequestLedger
from storelog.torture.load import Shopper
from storelog.torture.report import TortureReport
from storelog.torture.rig import Rig

PROBES = 5
REJECTED_WITHIN_SECONDS = 1.0
SLACK_SECONDS = 2.0
ACCEPTED_WITHIN_SECONDS = 10.0
PATIENCE_SECONDS = 30.0


@dataclass(slots=True)
class Trial:
    """`scale` multiplies every wait: 1 is short, for a test; a long run has more."""

    rig: Rig
    ledger: RequestLedger
    prober: Shopper
    dice: random.Random
    report: TortureReport
    stop: threading.Event
    scale: float = 1.0

    def wait(self, low: float, high: float) -> None:
        """Let the load continue for a random time between these seconds, times `scale`."""
        self.stop.wait(self.dice.uniform(low, high) * self.scale)

    def expect_commands_accepted(self, meanwhile: str) -> None:
        """Note a breach unless commands work while a server that they do not need is away."""
        for _ in range(PROBES):
            began = time.monotonic()
            request = self.prober.act(ACCEPTED_WITHIN_SECONDS)
            if request.response is None:
                took = time.monotonic() - began
                self.report.breach(
                    f"{meanwhile}: {request.method} {request.path} was not accepted,"
                    f" {request.troubles} after {took:.1f} s"
                )

    def expect_commands_rejected_in_time(self, meanwhile: str) -> None:
        """Note a breach unless commands get 503, and nothing else, within a second.

        The median of the probes must be within the second. Each one may take the slack more, since
        the machine may be busy.
        """
        took: list[float] = []
        for _ in range(PROBES):
            began = time.monotonic()
            request = self.prober.act(ACCEPTED_WITHIN_SECONDS)
            # The shopper may have repeated the request: the limit is for each try.
            took.append((time.monotonic() - began) / max(1, request.attempts))
            said = [trouble for trouble in request.troubles if trouble not in REJECTIONS]
            if request.response is not None or said:
                self.report.breach(
                    f"{meanwhile}: {request.method} {request.path} was not rejected with 503:"
                    f" {request.response or said}"
                )
        worst, middle = max(took), statistics.median(took)
        self.report.slowest_rejection = max(self.report.slowest_rejection, round(middle, 3))
        if middle > REJECTED_WITHIN_SECONDS or worst > REJECTED_WITHIN_SECONDS + SLACK_SECONDS:
            self.report.breach(f"{meanwhile}: 503 took {middle:.2f} s, once {worst:.2f} s")

    @contextmanager
    def expect_no_error_seen(self, meanwhile: str) -> Iterator[None]:
        """Note a breach unless each command, repeated with its key, gets a response in time."""
        is_over = threading.Event()

        def trade() -> None:
            while not is_over.wait(0.05):
                request = self.prober.insist(PATIENCE_SECONDS)
                if request.response is None:
                    self.report.breach(f"{meanwhile}: {request.method} saw {request.troubles}")

        with ThreadPoolExecutor(1) as pool:
            client = pool.submit(trade)
            try:
                yield
            finally:
                is_over.set()
            client.result()

    def expect_reads_go_on(self, meanwhile: str) -> None:
        """Note a breach unless the Query Service responds to a read."""
        address = urlsplit(self.rig.query_url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)
        try:
            connection.request("GET", "/orders?limit=5")
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            self.report.breach(f"{meanwhile}: a read got no response: {error!r}")
            return
        finally:
            connection.close()
        if status != 200:
            self.report.breach(f"{meanwhile}: a read got {status}")
