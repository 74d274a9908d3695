"""Checks a request's head: fields that may not be repeated, and fields that must be there.

A proxy in front may read the first of two `Authorization` fields where this service would read the
last, so the request is rejected. Repeated fields that are lists become one list (RFC 9110, 5.3).
Next: web/admission.py
"""

from collections.abc import Collection, Mapping, MutableMapping

from storelog.errors import Malformed
from storelog.web.hosts import host_of

_ONCE = frozenset(
    (
        "authorization",
        "content-length",
        "content-type",
        "host",
        "idempotency-key",
        "last-event-id",
        "origin",
        "storelog-wait-for",
        "traceparent",
        "x-correlation-id",
        "x-request-id",
    )
)


def join_repeated(
    headers: MutableMapping[str, str], fields: Collection[tuple[bytes, bytes]]
) -> list[str]:
    """Join the values of each repeated field; return the fields that may not be repeated.

    `headers` has the last value of each name of `fields`, in lower case.
    """
    # The usual case, without any cost: no field is repeated.
    if len(fields) == len(headers):
        return []
    joined: dict[str, list[str]] = {}
    for name, value in fields:
        joined.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    headers.update({name: ", ".join(values) for name, values in joined.items()})
    return sorted(name for name in _ONCE if len(joined.get(name, ())) > 1)


def check_head(headers: Mapping[str, str], repeated: list[str], http_version: str) -> None:
    """Raise Malformed for a repeated field, or without a valid Host (RFC 9112, 3.2)."""
    if repeated:
        raise Malformed(f"The field {repeated[0]} came more than once.")
    if "host" in headers:
        host_of(headers)
    elif http_version == "1.1":
        raise Malformed("A request has a Host field.")
