"""The stage: embedded servers, one system after the other on them, and what each process uses.

Figures of processes are CPU as a share of one core, and the most resident memory in MB.
"""

import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from support.embedded import EmbeddedServers, new_settings
from support.system import System

SERVERS = ("postgresql", "kafka", "mongodb")
OURS = ("command-service", "relay", "projector", "query-service")
MB = 10**6
SAMPLE_SECONDS = 0.25
# A server that uses less of a core than that, over so long, has nothing left to do.
IDLE_SHARE, IDLE_SAMPLE_SECONDS, IDLE_SECONDS = 0.1, 2.0, 60.0


@dataclass
class Use:
    """What each process used between two moments; of memory the most.

    `waiting_percent`: how long its threads were ready to run and had no core, together.
    """

    cpu_percent: dict[str, float] = field(default_factory=dict)
    waiting_percent: dict[str, float] = field(default_factory=dict)
    memory_mb: dict[str, float] = field(default_factory=dict)

    def sample(self, processes: dict[str, psutil.Process], stop: threading.Event) -> None:
        """Look at the memory until it is stopped."""
        while True:
            for name, process in processes.items():
                rss = process.memory_info().rss / MB
                self.memory_mb[name] = max(rss, self.memory_mb.get(name, 0.0))
            if stop.wait(SAMPLE_SECONDS):
                return

    def ours(self) -> float:
        """Return the CPU of Storelog's own processes, in percent of one core."""
        return sum(self.cpu_percent.get(name, 0.0) for name in OURS)


class Stage:
    """The servers of one run; `system` gives a new, empty system on them."""

    def __init__(self) -> None:
        self.servers = EmbeddedServers(Path(tempfile.mkdtemp(prefix="storelog-bench-")))

    def __enter__(self) -> "Stage":
        self.servers.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.servers.stop()

    def mongodb(self) -> str:
        """Return which MongoDB-wire server runs."""
        words = psutil.Process(self.servers.pid("mongodb")).cmdline()
        return next(Path(word).name for word in words if "mongo" in word or "secantus" in word)

    def new_system(self, *processes: str) -> System:
        """Return a system on databases and topics of its own; use it as a context."""
        return System(new_settings(self.servers), processes or OURS)

    def processes(self, system: System) -> dict[str, psutil.Process]:
        """Return the processes that matter to a system, by name; the load generator is `load`."""
        found = {name: psutil.Process(self.servers.pid(name)) for name in SERVERS}
        found |= {name: psutil.Process(pid) for name, pid in system.pids().items()}
        return {**found, "load": psutil.Process()}

    @contextmanager
    def using(self, system: System) -> Iterator[Use]:
        """Fill the yielded `Use` with what is used until the block ends."""
        processes, use, stop = self.processes(system), Use(), threading.Event()
        sampler = threading.Thread(target=use.sample, args=(processes, stop))
        before, began = (
            {name: cpu_seconds(name, p) for name, p in processes.items()},
            time.monotonic(),
        )
        waited = {name: _waited(p) for name, p in processes.items()}
        sampler.start()
        try:
            yield use
        finally:
            stop.set()
            sampler.join()
        seconds = time.monotonic() - began
        for name, process in processes.items():
            use.cpu_percent[name] = 100 * (cpu_seconds(name, process) - before[name]) / seconds
            use.waiting_percent[name] = 100 * (_waited(process) - waited[name]) / seconds

    @contextmanager
    def paused(self, system: System, *names: str) -> Iterator[None]:
        """Stop processes for a while, so that what is measured has the machine to itself."""
        processes = self.processes(system)
        chosen = [processes[name] for name in names]
        try:
            for process in chosen:
                process.send_signal(signal.SIGSTOP)
            yield
        finally:
            for process in chosen:
                process.send_signal(signal.SIGCONT)

    def wait_idle(self, name: str) -> bool:
        """Wait until a server has done what it still does after many writes; return whether."""
        server, give_up_at = psutil.Process(self.servers.pid(name)), time.monotonic() + IDLE_SECONDS
        while time.monotonic() < give_up_at:
            before = cpu_seconds(name, server)
            threading.Event().wait(IDLE_SAMPLE_SECONDS)
            if cpu_seconds(name, server) - before < IDLE_SHARE * IDLE_SAMPLE_SECONDS:
                return True
        return False


def backlog_rate(position: Callable[[], int], total: int, seconds: float) -> float:
    """Wait until the position is `total`; return positions a second.

    From the first one that is seen: the start of a process is not measured here.
    """
    first, began, give_up_at = 0, 0.0, time.monotonic() + seconds
    while (at := position()) < total:
        assert time.monotonic() < give_up_at, f"at {at} of {total}"
        if at and not first:
            first, began = at, time.monotonic()
        threading.Event().wait(0.1)
    return (total - first) / (time.monotonic() - began)


def cpu_seconds(name: str, process: psutil.Process) -> float:
    """Return the CPU seconds of a process, PostgreSQL's with its backends, the ended ones too."""
    own = process.cpu_times()
    family = [process, *(process.children(recursive=True) if name == "postgresql" else [])]
    seconds = own.children_user + own.children_system if name == "postgresql" else 0.0
    for member in family:
        try:
            times = member.cpu_times()
            seconds += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return seconds


def _waited(process: psutil.Process) -> float:
    """Return for how many seconds the threads that a process has waited for a core so far."""
    waited = 0
    for file in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
        with suppress(OSError):
            waited += int(file.read_text("ascii").split()[1])
    return waited / 1e9
