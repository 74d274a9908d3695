"""The histories of a log: each has an id, which travels with the positions that it gave.

A log has one history until commits are lost that others have seen: by a failover to a standby that
lacked them, or a restore to an earlier time. `storelog recover` then begins another, which shares
the events up to a position with the one before. So a position means one event only together with
its history (docs/decisions/0059).
Next: relay/publisher.py
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

HEADER = "Storelog-History"
# What reads it: a history's id, as text.
CURRENT = "(SELECT history::text FROM log_histories ORDER BY number DESC LIMIT 1)"
ALL = "SELECT history::text, began_after, number FROM log_histories ORDER BY number"
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class LogHistory:
    """One history: up to `began_after` it is the same as the one before it, by `number`."""

    id: str
    began_after: int = 0
    number: int = 1


Histories = Sequence[LogHistory]


def number_of(histories: Histories, history: str | None) -> int | None:
    """Return which of the histories, oldest first, this one is; None where it is none of them.

    What names no history is of the first: so earlier releases have sent it.
    """
    if history is None:
        return 0 if histories else None
    return next((n for n, each in enumerate(histories) if each.id == history), None)


def is_lost(histories: Histories, number: int, position: int) -> bool:
    """Tell whether the position of one of the histories is not of the newest one."""
    return any(position > later.began_after for later in histories[number + 1 :])
