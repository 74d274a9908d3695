"""Takes back or completes a change of the read side whose command has died.

A promotion that does not switch in time is ended. A change of lanes may have been decided in
PostgreSQL already: the relay's next watermark, which is read while the lanes stand still, tells.
After a switch the older read models are dropped if the command has not done so.
Next: projector/databases/promotion.py
"""

import time
from collections.abc import Iterable
from typing import Any

import msgspec
import structlog
from confluent_kafka import OFFSET_BEGINNING, Message, TopicPartition
from pymongo.database import Database

from storelog.errors import PoisonRecord
from storelog.origin import read_origin
from storelog.projector.checkpoints import load
from storelog.projector.databases.connection import sibling
from storelog.projector.databases.kept import drop_older
from storelog.projector.databases.promotion import ABANDONED_SECONDS, SILENT_SECONDS, settle, thaw
from storelog.projector.receive.proof import check_mark
from storelog.projector.receive.record import read_watermark
from storelog.read_side import Pointer

OLDER_SECONDS = 15.0
_log = structlog.get_logger()


class Standstill:
    """A change of the read side as this process sees it; `look` is called about once a second."""

    def __init__(self, home: Database[dict[str, Any]], watermarks: str) -> None:
        self._home = home
        self._watermarks = watermarks
        self._pointer: Pointer | None = None
        self._since = self._beat_at = self._older_since = 0.0
        self._settled: str | None = None

    @property
    def is_active(self) -> bool:
        """Whether the lanes stand still for a change."""
        return self._pointer is not None and self._pointer.promoting is not None

    def trouble(self) -> str | None:
        """Return a message while a change is under way, None otherwise."""
        if self._pointer is None or self._pointer.promoting is None:
            return None
        what = "change of lanes" if self._pointer.lane_change else "promotion or repair"
        seconds = time.monotonic() - self._since
        return f"The read model has stood still for {seconds:.0f} s: a {what} is under way"

    def look(self, pointer: Pointer) -> None:
        """Take note of the pointer, and end an abandoned change. Raises PyMongoError."""
        now, before = time.monotonic(), self._pointer
        if before is None or before.promoting != pointer.promoting:
            self._since = now
        if self._since == now or (before is not None and before.beats != pointer.beats):
            self._beat_at = now
        if before is None or before.database != pointer.database or not pointer.has_older:
            self._older_since = now
        self._pointer = pointer
        is_silent = pointer.beats is not None and now - self._beat_at > SILENT_SECONDS
        token, is_late = pointer.promoting, is_silent or now - self._since > ABANDONED_SECONDS
        if token is not None and pointer.lane_change is None and is_late:
            _log.warning("a promotion was abandoned: the lanes go on as they were")
            thaw(self._home, token)
        if pointer.has_older and now - self._older_since > OLDER_SECONDS:
            _log.warning("a promotion was interrupted after its switch: older read models go")
            drop_older(self._home)

    def places(self, owned: Iterable[TopicPartition]) -> list[TopicPartition]:
        """Return the partitions to read meanwhile: watermarks, during a change of lanes.

        Raises PyMongoError.
        """
        if self._pointer is None or self._pointer.lane_change is None:
            return []
        lanes = [place.partition for place in owned if place.topic == self._watermarks]
        known = load(sibling(self._home, self._pointer.database), lanes)
        return [
            TopicPartition(
                self._watermarks,
                place.lane,
                place.offsets.get(self._watermarks, OFFSET_BEGINNING),
            )
            for place in known
        ]

    def receive(self, message: Message) -> None:
        """Settle a change of lanes if the watermark tells how it ended. Raises PyMongoError."""
        pointer = self._pointer
        if pointer is None or pointer.lane_change is None or pointer.promoting is None:
            return
        if pointer.promoting == self._settled:
            return
        try:
            mark = read_watermark(message.value() or b"")
            check_mark(mark, read_origin(self._home))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, PoisonRecord):
            # Not the relay's: the lane will keep it as foreign when it reads it again.
            return
        # An older watermark was sent before the change began and cannot tell how it ended.
        times = [at for at in (mark.readAt, mark.recordedAt) if at is not None]
        if max(times, default="") <= pointer.lane_change.since:
            return
        _log.warning("a change of lanes was interrupted: it is settled", lanes=len(mark.lanes))
        settle(self._home, pointer.promoting, len(mark.lanes))
        self._settled = pointer.promoting
