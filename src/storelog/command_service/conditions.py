"""The versions that `If-Match` and `If-None-Match` of a command allow (RFC 9110, 13.1).

Next: command_service/api.py
"""

import re
from collections.abc import Iterable

from storelog.shop.aggregate import AllBut, Versions
from storelog.shop.event_kinds import EntityKind
from storelog.shop.events import ORDER
from storelog.web.entity_tags import read_tags
from storelog.web.http import Request

# The tags that the services make: the version, for an order its hash too, and a suffix where the
# response was compressed.
_TAG_OF_OURS = re.compile(r'"([1-9][0-9]{0,17})(?:-gzip)?"')
_TAG_OF_AN_ORDER = re.compile(r'"([1-9][0-9]{0,17})(?:-[0-9A-Za-z]+)?(?:-gzip)?"')


def expected_versions(request: Request, entity: EntityKind) -> Versions | None:
    """Return the versions that the client's tags allow; None allows any version.

    In `If-Match` a weak tag, and one that no service made, names no version and so matches none
    (RFC 9110, 13.1.1); `If-None-Match` compares weakly (13.1.2).
    """
    tag_of_ours = _TAG_OF_AN_ORDER if entity is ORDER else _TAG_OF_OURS
    wanted, unwanted = (request.headers.get(name) for name in ("if-match", "if-none-match"))
    tags = None if wanted is None else read_tags("If-Match", wanted)
    versions = None if tags is None else _versions(tags, tag_of_ours)
    if unwanted is None:
        return versions
    tags = read_tags("If-None-Match", unwanted)
    if tags is None:
        # `If-None-Match: *` fails for an entity that exists, so it allows no version at all.
        return frozenset()
    others = _versions([tag.removeprefix("W/") for tag in tags], tag_of_ours)
    return AllBut(others) if versions is None else versions - others


def _versions(tags: Iterable[str], tag_of_ours: re.Pattern[str]) -> frozenset[int]:
    ours = (tag_of_ours.fullmatch(tag) for tag in tags)
    return frozenset(int(tag[1]) for tag in ours if tag is not None)
