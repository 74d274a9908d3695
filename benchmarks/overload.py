"""Ten times the rate that can be taken: how much still is, and how late do rejections come?

What is due while all connections wait for an answer is never sent: 3,000 clients are all there are.
"""

import json
import random

from benchmarks.figures import Figure, Report
from benchmarks.shop import open_shop, order
from benchmarks.stage import Stage
from support.flood import Flood, flood

TIMES = 10
# At the default limits: more than the 2,500 requests and 2,000 commands that may be in flight.
CONNECTIONS = 3_000
USUAL_CONNECTIONS = 64
# Never due: as fast as the answers come.
NO_LIMIT = 1e6


def measure(report: Report, stage: Stage, seconds: float) -> None:
    """Measure a flood, and the rates before and after it; nothing else runs."""
    body = json.loads(order(random.Random(3)))
    with stage.new_system("command-service") as system:
        open_shop(system)
        url = system.commands.url

        def usual() -> float:
            done = flood(url, body, rate=NO_LIMIT, seconds=seconds, connections=USUAL_CONNECTIONS)
            assert set(done.statuses) == {201}, done.statuses
            return done.rate

        usual()
        before = usual()
        with stage.using(system) as use:
            over = flood(url, body, rate=TIMES * before, seconds=seconds, connections=CONNECTIONS)
        after = usual()
    assert set(over.statuses) == {201, 503}, over.statuses
    assert (over.bare, over.lost) == (0, 0), over
    report.note_use(f"{TIMES} times the rate", use.cpu_percent, use.memory_mb)
    report.add(*_figures(over, before, after))


def _figures(over: Flood, before: float, after: float) -> list[Figure]:
    before_it, sent = "/s, before it", over.sent / over.seconds
    refused = sorted(over.refused)
    late = 1_000 * refused[int(0.99 * len(refused))], 1_000 * refused[-1]
    what = f"{TIMES} times the rate"
    return [
        Figure("overload", f"taken at {what}", over.rate, "/s", None, False, before, before_it),
        Figure("overload", f"sent by {CONNECTIONS:,} clients at {what}", sent, "/s"),
        Figure("overload", "until a rejection, p99", late[0], "ms"),
        Figure("overload", "until a rejection, the latest", late[1], "ms", 1_000, True),
        Figure("overload", "taken right after it", after, "/s", None, False, before, before_it),
    ]
