"""Ends everything that `storelog up` started, within 10 s, if `up` itself is killed.

It is a process of its own at the other end of a pipe, to which `up` writes `+PID SIGNAL` and `-PID`
lines; when the pipe closes, the remaining processes get their signal, and are killed 5 s later.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import psutil

GRACE_SECONDS = 5.0


class Watchdog:
    """The end of the pipe that `storelog up` holds."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "storelog.local.watchdog"],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def guard(self, pid: int, stop_signal: signal.Signals) -> None:
        """End the process when `up` is gone."""
        self._write(f"+{pid} {int(stop_signal)}\n")

    def forget(self, pid: int) -> None:
        """Stop guarding a process that has ended."""
        self._write(f"-{pid}\n")

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            # The watchdog was killed; `up` still stops everything itself.
            return

    def close(self) -> None:
        """Let the watchdog end, after it has ended what it still guards."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(2 * GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            # It is paused (SIGSTOP), or a process does not end.
            self._process.kill()
            self._process.wait(GRACE_SECONDS)


def main() -> None:
    """Read standard input until it ends, then end the remaining processes."""
    # Ctrl-C is for `up`, which then ends everything in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    guarded: dict[int, int] = {}
    for line in sys.stdin:
        if line.startswith("+"):
            pid, stop_signal = line[1:].split()
            guarded[int(pid)] = int(stop_signal)
        else:
            guarded.pop(int(line[1:]), None)
    _end(guarded)


def _end(guarded: dict[int, int]) -> None:
    processes = [psutil.Process(pid) for pid in guarded if psutil.pid_exists(pid)]
    for process in processes:
        _signal(process.pid, guarded[process.pid])
    _, alive = psutil.wait_procs(processes, GRACE_SECONDS)
    for process in alive:
        _signal(process.pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    main()
