"""Compares data of earlier releases, which lacks the fields that came later.

A missing field counts as the value that is declared for data before it; any other value is a
difference. So documents, histories and changes are compared without being rewritten.
Next: verify/read_model.py
"""

from collections.abc import Mapping
from typing import Any

from storelog.documents.forms import fields_of_facts
from storelog.documents.histories import Entry, shown_fields
from storelog.shop.events import ENTITIES, KINDS
from storelog.shop.fields import fields_of, values_before
from storelog.typed_cache import cached

Document = dict[str, Any]
_ENTITIES = {entity.name: entity for entity in ENTITIES}


@cached()
def _of_documents(collection: str) -> Mapping[str, Any]:
    structure = next((e.structure for e in ENTITIES if e.collection == collection), None)
    return {} if structure is None else fields_of_facts(structure, {})


def fill_document(collection: str, document: Document) -> None:
    """Give a document of a collection the fields that came after it was written."""
    for name, before in _of_documents(collection).items():
        document.setdefault(name, before)


@cached()
def _of_events(event_type: str) -> Mapping[str, Any]:
    """Return the newer fields of an entity that a kind of event sets, as JSON shows them."""
    kind = KINDS.get(event_type)
    if kind is None:
        return {}
    fields = fields_of(kind.entity.structure)
    return {f.json: f.since.before for f in fields if f.since and f.name in kind.members}


def newer_fields(aggregate: str) -> Mapping[str, Any]:
    """Return the fields of an aggregate that came later, as JSON shows them: `product-5`."""
    return values_before(_ENTITIES[aggregate.partition("-")[0]].structure)


def fill_facts(event_type: str, facts: Document) -> None:
    """Add the fields that came later to what live readers are told about an event."""
    for name, before in _of_events(event_type).items():
        facts.setdefault(name, before)


def filled_entry(aggregate: str, entry: Entry) -> Entry:
    """Return an entry of a history with the fields that came later, in the declared order."""
    newer = _of_events(entry.event_type)
    if newer.keys() <= entry.facts.keys():
        return entry
    facts = {**newer, **entry.facts}
    fields = {name: facts.pop(name) for name in shown_fields(aggregate) if name in facts}
    values = (entry.position, entry.version, entry.event_type, entry.recorded_at)
    return Entry(*values, entry.caller, entry.correlation_id, fields | facts)
