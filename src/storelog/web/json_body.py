"""Parses strict JSON: a body that is not exactly one JSON value in UTF-8 is malformed.

Duplicate keys, NaN, lone surrogates and endless nesting are rejected. Numbers are kept as the text
that was sent, so that money is never a float and a huge number costs nothing.
Next: command_service/requests.py
"""

import json
from collections.abc import Container
from typing import Any

from storelog.errors import InvalidFields, Malformed, ProtocolRefusal
from storelog.web.http import Request

# Far more than any valid body has: parsing arrays cannot be interrupted, so their number is limited
# before.
MAX_BRACKETS = 2_000


class Number(str):
    """A JSON number, as its text."""

    __slots__ = ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(pairs)
    if len(parsed) != len(pairs):
        raise Malformed("A JSON object has the same key twice.")
    return parsed


def _constant(name: str) -> Any:
    raise Malformed(f"{name} is not JSON.")


def _number(text: str) -> Number:
    # A Python function on purpose: between its calls, other threads get their turns.
    return Number(text)


_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_number, parse_float=_number, parse_constant=_constant
).decode


def read_body(request: Request) -> Any:
    """Return a request's parsed body. Raises what `read_json` does."""
    headers = request.headers
    return read_json(request.body, headers.get("content-type"), headers.get("content-encoding"))


def read_json(body: bytes, content_type: str | None, content_encoding: str | None = None) -> Any:
    """Return the parsed body. Raises Malformed (400) and ProtocolRefusal 415."""
    if (content_encoding or "").strip().lower() not in ("", "identity"):
        raise ProtocolRefusal(
            415,
            "unsupported-media-type",
            "Send the body as it is, without a Content-Encoding.",
            [("Accept-Encoding", "identity")],
        )
    kind, _, parameters = (content_type or "").partition(";")
    charset = parameters.strip().lower().replace('"', "").replace(" ", "")
    if kind.strip().lower() != "application/json" or charset not in ("", "charset=utf-8"):
        raise ProtocolRefusal(
            415,
            "unsupported-media-type",
            "Send application/json in UTF-8.",
            [("Accept", "application/json")],
        )
    try:
        text = body.decode("utf-8")
        if text.count("[") > MAX_BRACKETS:
            raise Malformed("The body has too many arrays.")
        return _decode(text)
    except UnicodeDecodeError as error:
        raise Malformed(f"The body is not UTF-8 at byte {error.start}.") from error
    except json.JSONDecodeError as error:
        raise Malformed(f"The body is not JSON: {error.msg} at character {error.pos}.") from error
    except RecursionError as error:
        raise Malformed("The body is nested too deep.") from error


def read_members(request: Request, members: Container[str]) -> dict[str, Any]:
    """Return the body, an object that has no other members. Raises InvalidFields, as `read_json`.

    The caller checks which members are missing, and their values.
    """
    body = read_body(request)
    if not isinstance(body, dict):
        raise InvalidFields([("", "must be an object")])
    unknown = [(pointer(name), "is not known here") for name in body if name not in members]
    if unknown:
        raise InvalidFields(unknown)
    return body


def pointer(name: str) -> str:
    """Return the JSON Pointer of a member, with its / and ~ escaped (RFC 6901)."""
    return "/" + name.replace("~", "~0").replace("/", "~1")
