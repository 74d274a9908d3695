"""verify's own fold says of every kind of event what the projector's says, in other words."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from storelog.documents.histories import KEPT
from storelog.event_codec import name_of, read_event
from storelog.projector.fold import live_changes, order_facts
from storelog.read_models import history_entry
from storelog.read_models.change import Change, EventOrigin, read_change
from storelog.read_models.listed import DOCUMENT_MODELS
from storelog.shop.events import EVENTS, KINDS, kind_of
from storelog.shop.json_schema import payload_schema
from storelog.shop.json_values import encode_json
from storelog.verify import fold

ORIGIN = EventOrigin(datetime(2026, 2, 1, tzinfo=UTC), "till", "c1")
CHANGES: list[Change] = []
for kind in EVENTS:
    for example in payload_schema(kind, kind.version)["examples"]:
        raw = encode_json(example)
        name = name_of(read_event(kind.name, kind.version, raw))
        version = 1 if kind.begins else 2
        CHANGES.append(read_change(7, kind.name, name, version, kind.version, raw, ORIGIN))


def renamed() -> Change:
    """Return an event that sets the name of a product, and not all of it."""
    whole = next(change for change in CHANGES if change.kind is KINDS["ProductUpdated"])
    kind = replace(whole.kind, sets={"name": "name", "sku": "sku"})
    return replace(whole, kind=kind)


def test_an_event_that_sets_the_name_alone_moves_the_position_since_which_it_is_the_name() -> None:
    (write,) = (w for m in DOCUMENT_MODELS for w in m.fold(renamed()) if w.collection == "products")
    assert write.fields["bodyPosition"] == renamed().position
    assert not write.is_whole


@pytest.mark.parametrize("change", [*CHANGES, renamed()], ids=lambda change: change.kind.name)
def test_both_folds_say_the_same_of_an_event(change: Change) -> None:
    projected = {
        (write.collection, write.document_id, write.is_mark, write.is_new): write.fields
        for model in DOCUMENT_MODELS
        for write in model.fold(change)
    }
    verified = {
        (write.collection, write.document_id, write.is_mark, write.is_new): write.fields
        for write in fold.writes_of(change)
    }
    assert verified == projected
    assert fold.entry_of(change) == history_entry.entry_of(change)
    assert fold.fact_of(change) == order_facts.fact_of(change)
    assert fold.told_of(change) == live_changes.live_change_of(change)[2]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.kind.name)
def test_an_entity_that_changes_keeps_each_event_in_its_history(change: Change) -> None:
    entity = kind_of(change.event).entity
    written = [
        write
        for model in DOCUMENT_MODELS
        for write in model.fold(change)
        if write.collection == entity.collection
    ]
    expected = [history_entry.entry_of(change)] if entity in KEPT else []
    assert [entry for write in written for entry in write.entries] == expected
