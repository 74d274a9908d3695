"""What Schemathesis cannot know by itself: which rejections come from rules, not the schema.

Loaded by Schemathesis (SCHEMATHESIS_HOOKS). The checks of the same purpose that it brings are off.
"""

import json
import re
from typing import Any

import schemathesis

from storelog.shop.unique import unique_values
from storelog.web.openapi import HEADERS

# Decided by what the shop holds at that moment, which no schema says.
RULES = {
    "other-history",
    "not-found",
    "insufficient-stock",
    "stock-limit",
    "stale-version",
    "unknown-customer",
    "unknown-product",
    "idempotency-key-reused",
    "idempotency-in-progress",
    "not-caught-up",
    # A busy machine; the test holds that there are few of these.
    "unavailable",
    "overloaded",
    *(unique.slug for _, _, unique in unique_values()),
}
BUSY = {"not-caught-up", "unavailable", "overloaded"}
# A cursor's form is the service's own secret; `from` must fit `to`, `sort` the other parameters,
# and `asOf` what there is; what makes a word is Unicode's, and the stock has an upper end.
UNSAID = {
    ("?cursor", "is not a cursor of this list with these filters"),
    ("?from", "must not be after `to`"),
    ("?sort", "must be one of -orderDate"),
    ("?q", "must have 1 to 10 words"),
    ("/delta", "would lift the stock above 2147483647"),
    # No word of JSON Schema bounds a time; the years are in a pattern.
    ("/orderDate", "must be from 1900-01-01 to 2999-12-31"),
}


@schemathesis.check
def no_failure_of_its_own(ctx: Any, response: Any, case: Any) -> None:
    """No 5xx, but for a read that was told to wait for too much, and a machine that is too busy."""
    if response.status_code >= 500 and _slug(response) not in BUSY:
        raise AssertionError(f"status {response.status_code}: {response.text[:500]}")


@schemathesis.check
def what_the_schema_allows_is_accepted(ctx: Any, response: Any, case: Any) -> None:
    """A request that fits the schema is rejected by a rule of the shop only."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if response.status_code < 400 or _slug(response) in RULES:
        return
    # What a ticket looks like is the services' own secret.
    if response.status_code == 401 and "ticket" in (case.query or {}):
        return
    # A read takes no notice of the method: HEAD, TRACE and so on are other phases' questions.
    if response.status_code == 405:
        return
    if _breaks_a_header(case) or "Prefer: wait=" in str(_problem(response).get("detail")):
        return
    errors = _problem(response).get("errors", [])
    if errors and all(_is_unsaid(error["pointer"], error["detail"]) for error in errors):
        return
    raise AssertionError(f"status {response.status_code}: {response.text[:500]}")


def _is_unsaid(pointer: str, detail: str) -> bool:
    return pointer == "?asOf" or (pointer, detail) in UNSAID


def _breaks_a_header(case: Any) -> bool:
    """Tell whether a header is not as the document says: Schemathesis fills some with a 0."""
    return any(
        not re.search(HEADERS[name]["schema"].get("pattern", ""), str(value))
        for name, value in (case.headers or {}).items()
        if name in HEADERS
    )


def _problem(response: Any) -> dict[str, Any]:
    try:
        found = json.loads(response.content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _slug(response: Any) -> str:
    return str(_problem(response).get("type", "")).removeprefix("/problems/")
