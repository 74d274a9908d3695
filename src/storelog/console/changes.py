"""What a rejected form shows: the error at each field, and the newer version of the entity, if any.

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
    """Return the form's values for a declared structure, without the fields that it lacks.

    Text in a field of numbers stays as it was typed, so that the API rejects it at its field.
    """
    body: Facts = {}
    for field in fields_of(structure):
        if not form.has(field.json):
            continue
        text = form.text(field.json)
        # A form cannot send null: an empty field means that there is no value.
        if field.is_nullable and not text:
            body[field.json] = None
        else:
            body[field.json] = as_whole(text) if isinstance(field.kind, Whole) else text
    return body


def names_of(structure: type[Struct]) -> tuple[str, ...]:
    """Return the fields of a declared structure as JSON names them."""
    return tuple(field.json for field in fields_of(structure))


def version_of(form: Form) -> int | None:
    """Return the version of the entity that the form showed when it was filled in."""
    version = form.whole("version")
    return version if isinstance(version, int) else None


def form_error(problem: Problem, form: Form) -> Facts:
    """Return what the form shows again: its values, the errors at their fields, another error.

    Raises the problem where the cause is not in the form.
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

    If the entity was changed meanwhile, `stale` has the fields as they were typed: the page shows
    them beside the current values.
    """
    facts = form_error(problem, form)
    if isinstance(problem, VersionIsStale):
        # A field that the form does not show was not changed by it.
        facts["stale"] = {name: form.text(name) for name in fields if form.has(name)}
        facts["message"] = (
            f"This was changed meanwhile: it is at version {problem.current_version} now."
            " Compare the values, and send yours again if they should apply."
        )
    return facts


def deleted_facts(history: Found, structure: type[Struct]) -> Facts:
    """Return a deleted entity with its last values. Raises NotFound where it never existed."""
    if not history.items:
        raise NotFound
    # Events of an older release lack newer fields, which the template shows all the same.
    fields: Facts = dict.fromkeys(names_of(structure))
    for event in reversed(history.items):
        fields.update({change["field"]: change["to"] for change in event["changed"]})
    return fields
