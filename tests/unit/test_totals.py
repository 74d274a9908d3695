"""What is added to sums: each event once, whatever comes again, exactly."""

import re
from decimal import Decimal
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from hypothesis import given
from hypothesis import strategies as st

from storelog.errors import InvalidFields, PoisonRecord
from storelog.query_service.past.documents import PastView
from storelog.read_models import listed
from storelog.read_models.shapes import differing, shapes_of, to_do
from storelog.read_models.totals import (
    Added,
    Addition,
    Sum,
    TotalsModel,
    missing,
    number_in,
    total_with,
    with_late,
)

SUMS = (Sum("orders", "count", 1, None), Sum("amount", "amount", 1, None))
NEWER = Sum("units", "count", since=2, before=None)
PLACE = (2, 7)


def addition(position: int) -> Addition:
    return position, {"orders": 1, "amount": Decimal(position) / 8}


def written(found: Any, additions: list[Addition], *, are_late: bool = False) -> Any:
    left = missing(found, additions, are_late=are_late)
    return total_with(found, PLACE, left, SUMS) if left else found


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_an_event_is_added_once_wherever_batches_are_cut_and_repeated(ends: list[int]) -> None:
    document: Any = None
    written_up_to = 0
    for end in ends:
        # After a crash a batch begins at the checkpoint, and may end earlier than it did before.
        document = written(document, [addition(position) for position in range(1, end + 1)])
        written_up_to = max(written_up_to, end)
    assert document["orders"] == written_up_to
    assert document["position"] == written_up_to
    expected = sum(Decimal(position) / 8 for position in range(1, written_up_to + 1))
    assert document["amount"].to_decimal() == expected


def test_what_comes_late_is_added_once_although_its_letter_comes_again() -> None:
    document = written(None, [addition(3), addition(9)])
    late = [addition(5)]
    assert missing(document, late, are_late=True) == late
    document = with_late(written(document, late, are_late=True), {5})
    assert (document["orders"], document["position"], document["late"]) == (3, 9, [5])
    assert missing(document, late, are_late=True) == []
    assert missing(document, [addition(9), addition(10)], are_late=False) == [addition(10)]


def test_amounts_are_exact_beyond_what_decimals_keep_by_default() -> None:
    large = Decimal("99999999999999999999.99999999")
    document = written(None, [(1, {"amount": large}), (2, {"amount": Decimal("0.00000001")})])
    assert number_in(document["amount"]) == Decimal("100000000000000000000")
    assert document["orders"] == 0
    assert isinstance(document["orders"], Int64)
    assert isinstance(document["amount"], Decimal128)


def model(*added: Added) -> TotalsModel:
    return TotalsModel(
        collection="totals", shape=2, keys=str, sums=(*SUMS, NEWER), fold=lambda _: added
    )


@pytest.mark.parametrize("added", [Added("k" * 201, {}), Added("k", {"amount": Decimal(10) ** 23})])
def test_what_a_sum_cannot_hold_is_poison(added: Added) -> None:
    with pytest.raises(PoisonRecord, match="totals"):
        model(added).additions(None)  # type: ignore[arg-type]


def test_a_sum_that_is_newer_than_the_stored_shape_is_not_begun() -> None:
    assert model().sums_of(1) == SUMS
    assert model().sums_of(2) == (*SUMS, NEWER)


def test_an_older_release_says_which_shapes_it_filled() -> None:
    first = shapes_of([])
    assert first["orders"] == first["customer_names"] == 1
    assert shapes_of([{"_id": "words", "version": 2}])["product_names"] == 2
    # What has come since is not filled; the words have other rules.
    old = {name for name, shape in differing(first).items() if shape is not None}
    assert old == {"customer_names", "product_names"}
    assert "`storelog rebuild --promote`" in str(to_do(first))


def test_a_read_model_that_is_not_named_is_not_filled_but_those_of_every_release_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(listed.BY_COLLECTION, "totals", model())
    shapes = shapes_of([{"_id": "orders", "shape": 1}])
    assert differing(shapes)["totals"] is None
    assert shapes["customers"] == 0
    assert re.search(r"totals\b[^;]* no documents yet", str(to_do(shapes)))


def test_a_view_of_the_past_rejects_a_read_model_of_the_present_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(listed.BY_COLLECTION, "totals", model())
    view = PastView({"orders": "there"}, None)  # type: ignore[arg-type]
    with pytest.raises(InvalidFields) as refused:
        view.collection("totals")
    assert refused.value.facts["errors"][0]["pointer"] == "?asOf"
