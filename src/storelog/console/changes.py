"""What a form of a change shows when it was rejected: each field's error, and both versions.

Next: console/forms.py
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from storelog.client.problems import InsufficientStock, Problem, VersionIsStale
from storelog.console.forms import Form, as_whole, field_errors
from storelog.console.query_side import Found
from storelog.errors import NotFound
from storelog.shop.fields import fields_of
from storelog.shop.kinds import Whole

Facts = dict[str, Any]


def body_of(form: Form, structure: type[Struct]) -> Facts:
    """Return what the form says of a declared structure: a field that it lacks is left out.

    What is no number stays as it was typed, for the API to reject at its field.
    """
    body: Facts = {}
    for field in fields_of(structure):
        if not form.has(field.json):
            continue
        text = form.text(field.json)
        if field.is_nullable and not text:
            body[field.json] = None
        else:
            body[field.json] = as_whole(text) if isinstance(field.kind, Whole) else text
    return body


def names_of(structure: type[Struct]) -> tuple[str, ...]:
    """Return the fields of a declared structure as JSON names them."""
    return tuple(field.json for field in fields_of(structure))


def version_of(form: Form) -> int | None:
    """Return the version that the form was filled in for."""
    version = form.whole("version")
    return version if isinstance(version, int) else None


def form_error(problem: Problem, form: Form) -> Facts:
    """Return what a form shows again: the values, the errors at their fields, what else is wrong.

    Raises the problem where the form is not what is wrong.
    """
    if problem.status in (401, 403, 404) or problem.status >= 500:
        raise problem
    errors = field_errors(problem)
    message = None if errors else problem.detail
    if isinstance(problem, InsufficientStock):
        short = (
            f"product {p.product_id}: {p.asked} asked, {p.available} left" for p in problem.products
        )
        message = f"There is not enough stock: {'; '.join(short)}."
    return {"values": form.values(), "errors": errors, "message": message}


def stale_facts(problem: Problem, form: Form, fields: Sequence[str]) -> Facts:
    """Return what the page of an entity shows when its form was rejected.

    Where somebody else was faster, `stale` has the fields as they were typed: the page shows what
    is there now beside them.
    """
    facts = form_error(problem, form)
    if isinstance(problem, VersionIsStale):
        facts["stale"] = {name: form.text(name) for name in fields}
        facts["message"] = (
            f"Somebody else changed this meanwhile: it is at version {problem.current_version} now."
            " Compare, and send it again if your values should stand."
        )
    return facts


def deleted_facts(history: Found, structure: type[Struct]) -> Facts:
    """Return a deleted entity as it was last. Raises NotFound where there never was one."""
    if not history.items:
        raise NotFound
    # An event of an older release says nothing of newer fields.
    fields: Facts = dict.fromkeys(names_of(structure))
    for event in reversed(history.items):
        fields.update({change["field"]: change["to"] for change in event["changed"]})
    return fields
