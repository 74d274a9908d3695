"""One run: a system, load, faults from a seed, and then all checks.

The seed determines the faults, their order and the shoppers' choices, but not how threads
interleave.
Next: torture/wire.py
"""

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storelog.errors import CannotRun, StorelogError
from storelog.torture.checks.endings import check_endings
from storelog.torture.checks.event_log import History
from storelog.torture.checks.progress import check_lag, whole_log
from storelog.torture.checks.read_model import check_checkpoints, check_documents, check_sales
from storelog.torture.checks.responses import check_responses
from storelog.torture.checks.topics import check_topics
from storelog.torture.disks import Disks
from storelog.torture.faults import FAULTS, NEED_DISKS
from storelog.torture.faults.trial import Trial
from storelog.torture.ledger import RequestLedger
from storelog.torture.load import Shop, Shopper, send
from storelog.torture.report import TortureReport
from storelog.torture.rig import PROCESSES, SERVERS, Rig

SHOPPERS = 8
PAUSE_SECONDS = 0.4
SAY_SECONDS = 10.0
RESOLVE_SECONDS = 60.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: `kinds` in shuffled order, repeated for `minutes`, or each once."""

    seed: int
    kinds: Sequence[str]
    minutes: float
    is_once: bool = False

    @property
    def seconds(self) -> float:
        """How many seconds faults go on."""
        return self.minutes * 60

    @property
    def scale(self) -> float:
        """The factor of all waits: short ones in a short run, up to minutes in a long one."""
        return 0.5 if self.is_once else min(5.0, max(1.0, self.seconds / 300))


class Torture:
    """Runs a plan in `home`, which has the ledger and all logs afterwards."""

    def __init__(self, plan: Plan, home: Path, say: Say) -> None:
        self._plan, self._home, self._say = plan, home, say
        self._kinds = list(plan.kinds)
        self._dice = random.Random(f"{plan.seed}-faults")
        self._report = TortureReport(plan.seed, plan.kinds, plan.minutes, plan.is_once)
        self._stop = threading.Event()
        self._now = "starts"
        self._began = time.monotonic()

    def run(self) -> dict[str, Any]:
        """Return the facts of the run, also if Ctrl-C ends it before its checks.

        Raises CannotRun if the system does not start.
        """
        ledger = RequestLedger(self._home / "ledger.jsonl")
        disks = self._disks()
        # One thread more than shoppers, for the reports of progress.
        with Rig(self._home, disks) as rig, ThreadPoolExecutor(SHOPPERS + 1) as pool:
            talker = pool.submit(self._talk, rig, ledger)
            try:
                self._hurt(rig, ledger, pool)
                self._look(rig, ledger)
            except CannotRun as error:
                self._report.breach(f"after the faults: {error}")
            except KeyboardInterrupt:
                self._report.is_interrupted = True
                self._say("stopping; the findings so far follow")
                rig.repair()
            finally:
                self._stop.set()
            talker.result()
            for breach in ledger.breaches:
                self._report.breach(breach)
            seconds = time.monotonic() - self._began
            facts = self._report.facts(seconds, rig.kills, rig.endings, ledger.statuses)
        ledger.close()
        return facts

    def _disks(self) -> Disks | None:
        """Mount the servers' disks if a fault needs them; leave those faults out if that fails."""
        wanted = [kind for kind in self._kinds if kind in NEED_DISKS]
        if not wanted:
            return None
        disks = Disks(self._home)
        error = disks.mount(SERVERS)
        if not error:
            return disks
        disks.close()
        self._kinds = [kind for kind in self._kinds if kind not in NEED_DISKS]
        self._report.left_out = dict.fromkeys(wanted, error)
        self._say(f"left out: {', '.join(wanted)}: {error}")
        return None

    def _talk(self, rig: Rig, ledger: RequestLedger) -> None:
        """Report the progress of the run every 10 s."""
        while not self._stop.wait(SAY_SECONDS):
            trials, kills = sum(self._report.trials.values()), sum(rig.kills.values())
            self._say(
                f"{time.monotonic() - self._began:.0f} s: {trials} trials, {kills} kills,"
                f" {len(ledger.requests)} requests, {len(self._report.breaches)} breaches;"
                f" {self._now}"
            )

    def _hurt(self, rig: Rig, ledger: RequestLedger, pool: ThreadPoolExecutor) -> None:
        """Run one fault after the other while shoppers trade."""
        # The load outlasts the faults: recovery under load is part of what is checked.
        shop, closing = Shop(), threading.Event()
        shoppers = [self._shopper(str(n), shop, rig, ledger) for n in range(SHOPPERS)]
        trading: list[Future[None]] = [
            pool.submit(shopper.run, PAUSE_SECONDS, closing) for shopper in shoppers
        ]
        prober = self._shopper("probe", shop, rig, ledger)
        trial = Trial(rig, ledger, prober, self._dice, self._report, self._stop, self._plan.scale)
        try:
            trial.wait(2, 3)
            for kind in self._deck():
                self._try(kind, trial)
            self._now = "waiting for the read side"
            rig.repair()
            check_lag(rig.settings, self._report, time.monotonic())
            rig.wait_ready((*SERVERS, *PROCESSES))
            self._catch_projectors(rig)
        finally:
            closing.set()
        for done in trading:
            done.result()

    def _shopper(self, name: str, shop: Shop, rig: Rig, ledger: RequestLedger) -> Shopper:
        return Shopper(f"{self._plan.seed}-{name}", shop, rig.command_urls, ledger)

    def _deck(self) -> Iterator[str]:
        """Yield all kinds in shuffled order, again and again until the time is over."""
        give_up_at = time.monotonic() + self._plan.seconds
        while self._kinds:
            kinds = list(self._kinds)
            self._dice.shuffle(kinds)
            for kind in kinds:
                if not self._plan.is_once and time.monotonic() > give_up_at:
                    return
                yield kind
            if self._plan.is_once:
                return

    def _try(self, kind: str, trial: Trial) -> None:
        self._now = kind
        self._report.trials[kind] += 1
        try:
            FAULTS[kind](trial)
        except StorelogError as error:
            self._report.breach(f"{kind}: {error}")
            trial.rig.repair()
        trial.wait(0.2, 1.5)

    def _catch_projectors(self, rig: Rig) -> None:
        """Kill the projectors during their work, and compare checkpoints with documents."""
        names = ("projector-1", "projector-2")
        with rig.held_down(*names):
            rig.kill(*names)
            for name in names:
                rig.wait_ended(name)
            check_checkpoints(rig.settings, whole_log(rig.settings), self._report)
        rig.wait_ready(names)

    def _look(self, rig: Rig, ledger: RequestLedger) -> None:
        """Learn the outcomes that are still open, and check everything."""
        self._now = "checks"
        report = self._report
        self._resolve(rig, ledger)
        log = whole_log(rig.settings)
        check_responses(log, ledger.requests, report)
        history = History(report)
        history.fold(log)
        check_documents(rig.settings, report)
        check_topics(rig.settings, log, report.refilled, report)
        check_sales(rig.query_url, history, report)
        check_endings(rig.own_endings, report.refilled, report)

    def _resolve(self, rig: Rig, ledger: RequestLedger) -> None:
        """Repeat each request without a final response, with its key, until it has one."""
        give_up_at = time.monotonic() + RESOLVE_SECONDS
        # Safe with a key: a command that was carried out gets its stored response.
        while (left := ledger.without_response()) and time.monotonic() < give_up_at:
            for request in left:
                send(self._dice.choice(rig.command_urls), request, ledger)


def install_stop_signals() -> None:
    """Let the first Ctrl-C or SIGTERM end the run; while it ends, further ones are ignored."""

    def stop(*_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
