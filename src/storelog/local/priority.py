"""Lets the write side go first where everything runs on one machine.

What builds the read model may take a little longer under a load that the machine cannot carry; an
order that waits for it would be worse. Costs nothing while there is CPU to spare.
"""

import os
from contextlib import suppress
from pathlib import Path

NICENESS = 10


def lower(pid: int) -> None:
    """Make the process, and what it starts, give way to others.

    Linux weighs sessions against each other before processes, so the session is told too.
    """
    with suppress(ProcessLookupError, PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(NICENESS), "utf-8")
