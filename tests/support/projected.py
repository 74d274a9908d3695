"""What `storelog verify`, the projector's metrics and patient reads say of a system."""

import json
from typing import Any

from support.http import Client, Reply
from support.system import System, wait_for


def verified(system: System) -> dict[str, Any]:
    """Return the report of `storelog verify`, which must find no difference."""
    done = system.cli("verify", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def waiting_records(system: System, lane: int) -> float:
    """Return what the projector's metric says of a lane, 0 while the lane is loaded again."""
    text = Client(system.url("projector")).get("/metrics").raw.decode()
    name = f'storelog_projector_waiting_records{{lane="{lane}"}} '
    return float(text.partition(name)[2].partition("\n")[0] or 0)


def read(system: System, path: str) -> Reply:
    """Read, again while it is 503: on a busy machine MongoDB takes longer than a read waits."""
    replies: list[Reply] = []

    def responds() -> bool:
        replies.append(system.queries.get(path))
        return replies[-1].status != 503

    wait_for(responds, path)
    return replies[-1]
