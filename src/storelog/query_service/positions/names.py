"""Names of customers that this process has read, kept as long as they hold.

Every event that may change a name is written, with its position, where its words are found, before
any view holds it. So what was renamed since the last view is one find by that index, and none where
the view is of the same position: a page of orders asks for the names that are new to it only.
Guarantees that a name is no older than the view. Next: query_service/positions/view.py
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bson.int64 import Int64

from storelog.shop.events import CUSTOMER

if TYPE_CHECKING:
    from storelog.query_service.positions.view import View

MAX_NAMES = 10_000
# Where more names have changed since, all are forgotten.
MAX_CHANGED = 100
_WORDS = CUSTOMER.words_collection


class KnownNames:
    """What one process knows; `_at`: no event up to this position can change a name any more."""

    def __init__(self) -> None:
        self._of: object = None
        self._at = 0
        self._names: dict[int, str] = {}

    async def names(self, view: "View", ids: Iterable[int]) -> dict[int, str]:
        """Return the names of customers, of deleted ones too. Raises PyMongoError."""
        wanted = dict.fromkeys(ids)
        if not _is_sure(view):
            # A dead letter that is replayed has an earlier position.
            self._of, self._names = None, {}
            return await view.read_names(CUSTOMER.collection, wanted)
        of = view.database.name, view.place.history, view.place.repaired
        if of != self._of:
            self._of, self._at, self._names = of, view.position, {}
        if view.position > self._at:
            await self._forget_renamed(view, of)
        at, known = self._at, dict[int, str]()
        if of == self._of and at >= view.position:
            known = {each: self._names[each] for each in wanted if each in self._names}
        unknown = [each for each in wanted if each not in known]
        found = await view.read_names(CUSTOMER.collection, unknown) if unknown else {}
        # Another request may have come further meanwhile, with names that these are older than. Of
        # an earlier position nothing is kept either: the server may be back from an older copy.
        if (of, at) == (self._of, self._at) and at == view.position:
            if len(self._names) + len(found) > MAX_NAMES:
                self._names = {}
            self._names |= found
        return known | found

    async def _forget_renamed(self, view: "View", of: object) -> None:
        since = self._at
        newer = {"position": {"$gt": Int64(since)}}
        found = view.present(_WORDS).find(newer, {"_id": 1}).limit(MAX_CHANGED + 1)
        changed = [each["_id"] for each in await found.to_list()]
        if (of, since) != (self._of, self._at):
            return
        if len(changed) > MAX_CHANGED:
            self._names = {}
        for each in changed:
            self._names.pop(each, None)
        self._at = view.position


def _is_sure(view: "View") -> bool:
    """Tell whether the view says of which log it is, and misses nothing that changes names."""
    place = view.place
    is_filled = place.shapes is None or _WORDS in place.shapes
    return is_filled and place.history is not None and not place.dead_letters
