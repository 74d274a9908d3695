"""Shows the progress of long work on stderr: a bar on a terminal, else a line every 10 s."""

import sys
import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

LINE_SECONDS = 10.0


class Shown:
    """Progress by name: `show(name, done, total)` as often as wanted."""

    def __init__(self) -> None:
        # A bar redraws itself with control characters, which a file or a pipe would keep.
        console = Console(stderr=True)
        self._bar = (
            Progress(
                TextColumn("{task.description:<12}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=console,
            )
            if console.is_terminal
            else None
        )
        self._tasks: dict[str, object] = {}
        self._line_at = time.monotonic() + LINE_SECONDS

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, name: str, done: int, total: int) -> None:
        """Show that `done` of `total` are done."""
        if self._bar is not None:
            if name not in self._tasks:
                self._tasks[name] = self._bar.add_task(name, total=total)
            self._bar.update(self._tasks[name], completed=done, total=total)  # type: ignore[arg-type]
        elif time.monotonic() >= self._line_at:
            self._line_at = time.monotonic() + LINE_SECONDS
            print(f"{name}: {done:,} of {total:,}", file=sys.stderr, flush=True)
