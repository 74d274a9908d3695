"""The stage: embedded servers, one system after the other on them, and what each process uses.

Figures of processes are CPU as a share of one core, and resident memory in MiB.
"""

import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from support.embedded import EmbeddedServers, new_settings
from support.system import System

SERVERS = ("postgresql", "kafka", "mongodb")
OURS = ("command-service", "relay", "projector", "query-service")
MIB = 2**20


@dataclass
class Use:
    """What each process used between two moments."""

    cpu_percent: dict[str, float] = field(default_factory=dict)
    memory_mib: dict[str, float] = field(default_factory=dict)

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
        processes, use = self.processes(system), Use()
        before, began = {name: _cpu(name, p) for name, p in processes.items()}, time.monotonic()
        yield use
        seconds = time.monotonic() - began
        for name, process in processes.items():
            use.cpu_percent[name] = 100 * (_cpu(name, process) - before[name]) / seconds
            use.memory_mib[name] = process.memory_info().rss / MIB

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


def _cpu(name: str, process: psutil.Process) -> float:
    """Return the CPU seconds of a process, PostgreSQL's with its children (a backend each)."""
    family = [process, *(process.children(recursive=True) if name == "postgresql" else [])]
    seconds = 0.0
    for member in family:
        try:
            times = member.cpu_times()
            seconds += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return seconds
