"""The changes after a position as ready-made frames, read from MongoDB once for all readers.

Blocks of positions are cached, and the least recently used are dropped first. Only new changes of
the newest block are read. Nothing above the view's position is sent.
Next: query_service/live/stream.py
"""

import asyncio
import re
import zlib
from collections import OrderedDict
from dataclasses import dataclass, field

import msgspec

from storelog.query_service.positions.view import View
from storelog.read_side import BLOCK_POSITIONS
from storelog.shop.events import KINDS
from storelog.shop.value import value

MAX_KEPT_BYTES = 32 * 1024 * 1024
KEPT_SECONDS = 60.0
MAX_KEPT_BLOCKS = 1_000
MAX_PIECE_BYTES = 32 * 1024
MAX_KEPT_PIECES = 64
_EVENT = re.compile(rb"^event: .*\n", re.MULTILINE)
_read = msgspec.json.Decoder(list[tuple[int, str, msgspec.Raw]]).decode


@dataclass(frozen=True, slots=True)
class Frame:
    """One change as it is sent (WHATWG HTML, 9.2.5)."""

    position: int
    topics: frozenset[str]
    raw: bytes


@value
class Asked:
    """What a reader wants: changes of these topics, and whether events are named by their type."""

    topics: frozenset[str]
    is_named: bool = True


_PieceKey = tuple[str, int, int, Asked]


@dataclass(slots=True)
class _Block:
    """The changes of one block up to `upto`, in order."""

    upto: int
    begun_at: float
    frames: list[Frame] = field(default_factory=list)
    size: int = 0
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


class Changes:
    """The one store of changes in a Query Service process."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[tuple[str, int, int], _Block] = OrderedDict()
        self._pieces: OrderedDict[_PieceKey, tuple[_Block, bytes, int]] = OrderedDict()

    async def piece(self, view: View, after: int, asked: Asked) -> tuple[bytes, int]:
        """Return frames above `after`, and the position up to which they are complete.

        They have at most MAX_PIECE_BYTES and one frame more. The view's position must be above
        `after`; no frame is above the view's. Raises PyMongoError.
        """
        number = after // BLOCK_POSITIONS
        upto = min(view.place.position, (number + 1) * BLOCK_POSITIONS)
        block = await self._block(view, number, upto)
        # Most readers are at the same position, so the bytes are joined once for all of them.
        key = (view.database.name, after, upto, asked)
        kept = self._pieces.get(key)
        if kept is None or kept[0] is not block:
            kept = self._pieces[key] = (block, *_join(block.frames, after, upto, asked))
            if len(self._pieces) > MAX_KEPT_PIECES:
                self._pieces.popitem(last=False)
        return kept[1], kept[2]

    async def _block(self, view: View, number: int, upto: int) -> _Block:
        key, now = (
            (view.database.name, view.place.repaired, number),
            asyncio.get_running_loop().time(),
        )
        block = self._blocks.get(key)
        if block is None or now - block.begun_at > KEPT_SECONDS:
            # A dead letter may have been projected since, so a block is read again after a while.
            block = self._blocks[key] = _Block(number * BLOCK_POSITIONS, now)
        self._blocks.move_to_end(key)
        async with block.reading:
            if block.upto < upto:
                frames = await _frames(view, number, block.upto, upto)
                block.frames += frames
                block.size += sum(len(frame.raw) for frame in frames)
                block.upto = upto
        self._make_room(key)
        return block

    def _make_room(self, newest: tuple[str, int, int]) -> None:
        total = sum(block.size for block in self._blocks.values())
        while total > MAX_KEPT_BYTES or len(self._blocks) > MAX_KEPT_BLOCKS:
            key = next(iter(self._blocks))
            if key == newest:
                return
            total -= self._blocks.pop(key).size


async def _frames(view: View, number: int, after: int, upto: int) -> list[Frame]:
    query = {"block": number, "last": {"$gt": after}}
    found: dict[int, Frame] = {}
    async for document in view.collection("changes").find(query, {"entries": 1}):
        for position, event_type, facts in _read(zlib.decompress(document["entries"])):
            if after < position <= upto:
                raw = b"id: %d\nevent: %b\ndata: %b\n\n" % (position, event_type.encode(), facts)
                found[position] = Frame(position, frozenset(KINDS[event_type].live), raw)
    return [found[position] for position in sorted(found)]


def _join(frames: list[Frame], after: int, upto: int, asked: Asked) -> tuple[bytes, int]:
    parts: list[bytes] = []
    size = 0
    for frame in frames:
        if after < frame.position <= upto and frame.topics & asked.topics:
            raw = frame.raw if asked.is_named else _EVENT.sub(b"", frame.raw, count=1)
            parts.append(raw)
            size += len(raw)
            if size > MAX_PIECE_BYTES:
                return b"".join(parts), frame.position
    return b"".join(parts), upto
