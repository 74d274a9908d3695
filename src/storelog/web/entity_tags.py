"""Entity tags: the lists of them in `If-Match` and `If-None-Match`, and a tag's form under gzip.

RFC 9110, sections 8.8.3, 13.1.1 and 13.1.2. A list may have empty members (5.6.1.2), as repeated
fields joined by commas do. What a tag means is up to the service that made it.
Next: web/representation.py
"""

import re

from storelog.errors import Malformed

GZIP_SUFFIX = "-gzip"
# Possessive, so that a run of blanks costs no more than its length.
_MEMBER = re.compile(r'[ \t]*+((?:W/)?"[\x21\x23-\x7e\x80-\xff]*+")?+[ \t]*+(?:,|\Z)')


def read_tags(field: str, given: str) -> list[str] | None:
    """Return the tags as they were sent, weak ones with `W/`; None for `*`. Raises Malformed."""
    if given.strip(" \t") == "*":
        return None
    tags: list[str] = []
    at = 0
    while at < len(given):
        member = _MEMBER.match(given, at)
        if member is None:
            break
        at = member.end()
        if member[1]:
            tags.append(member[1])
    if not tags or at < len(given):
        raise Malformed(f'{field} must be * or entity tags in quotes, such as "3", "4".')
    return tags


def gzipped(tag: str) -> str:
    """Return the tag of the compressed form: strong tags of different bytes must differ."""
    return tag if tag.startswith("W/") else f'{tag[:-1]}{GZIP_SUFFIX}"'
