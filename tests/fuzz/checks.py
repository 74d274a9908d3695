"""What Schemathesis cannot know by itself: which refusals are the shop's rules, not the schema's.

Loaded by Schemathesis (SCHEMATHESIS_HOOKS). The checks of the same purpose that it brings are off.
"""

import json
from typing import Any

import schemathesis

# Decided by what the shop holds at that moment, which no schema says.
RULES = {
    "not-found",
    "insufficient-stock",
    "stock-limit",
    "stale-version",
    "unknown-customer",
    "unknown-product",
    "idempotency-key-reused",
    "idempotency-in-progress",
    "not-caught-up",
}
# Texts whose form is the service's own secret, and two that must fit each other.
UNSAID = {"?cursor", "?from"}


@schemathesis.check
def no_failure_of_its_own(ctx: Any, response: Any, case: Any) -> None:
    """No 5xx, but for a read that was told to wait for what was never written."""
    if response.status_code >= 500 and _slug(response) != "not-caught-up":
        raise AssertionError(f"status {response.status_code}: {response.text[:500]}")


@schemathesis.check
def what_the_schema_allows_is_accepted(ctx: Any, response: Any, case: Any) -> None:
    """A request that fits the document is refused by a rule of the shop only."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if response.status_code < 400 or _slug(response) in RULES:
        return
    # A read takes no notice of the method: HEAD, TRACE and so on are other phases' questions.
    if response.status_code == 405:
        return
    pointers = {error["pointer"] for error in _problem(response).get("errors", [])}
    if pointers and pointers <= UNSAID:
        return
    raise AssertionError(f"status {response.status_code}: {response.text[:500]}")


def _problem(response: Any) -> dict[str, Any]:
    try:
        found = json.loads(response.content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _slug(response: Any) -> str:
    return str(_problem(response).get("type", "")).removeprefix("/problems/")
