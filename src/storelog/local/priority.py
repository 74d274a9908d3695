"""Gives the write side priority where everything runs on one machine.

Under a load that is too high for the machine, the read model may lag a little, but orders must not
wait for it. This costs nothing while there is CPU to spare.
"""

import os
from contextlib import suppress
from pathlib import Path

NICENESS = 10


def lower(pid: int) -> None:
    """Make the process, and what it starts, give way to others.

    Linux divides the CPU between sessions first, so the session's priority is lowered too.
    """
    with suppress(ProcessLookupError, PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(NICENESS), "utf-8")
