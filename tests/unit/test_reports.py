"""What a report says of a document that differs: each field, up to a limit."""

from bson.dbref import DBRef
from bson.decimal128 import Decimal128

from storelog.verify.report import MAX_FIELDS, Report, differing


def test_each_field_that_differs_is_named_in_order() -> None:
    expected = {"price": Decimal128("1.50"), "stock": 1, "gone": 5, "items": [{"n": 1}, {"n": 2}]}
    found = {"price": Decimal128("1.5"), "stock": True, "items": [{"n": 3}, {"n": 4}], "more": 6}
    assert differing(expected, found) == [
        ("gone", 5, None),
        ("items[0].n", 1, 3),
        ("items[1].n", 2, 4),
        ("more", None, 6),
        ("stock", 1, True),
    ]
    assert differing(expected, dict(expected)) == []


def test_lists_of_other_lengths_differ_as_a_whole() -> None:
    assert differing({"items": [1]}, {"items": [1, 2]}) == [("items", [1], [1, 2])]


def test_no_more_than_so_many_fields_of_a_document_are_named() -> None:
    names = range(3 * MAX_FIELDS)
    places = differing({"lines": [1 for _ in names]}, {"lines": [2 for _ in names]})
    assert [path for path, _, _ in places] == [f"lines[{number}]" for number in range(MAX_FIELDS)]


def test_a_reference_is_the_same_as_the_drivers_and_is_named_by_collection_and_id() -> None:
    expected = {"customer": {"$ref": "customers", "$id": 1}}
    assert differing(expected, {"customer": DBRef("customers", 1)}) == []
    ((path, due, found),) = differing(expected, {"customer": DBRef("customers", 2)})
    report = Report()
    report.differ("mongodb.orders", 5, path, due, found)
    (named,) = report.differences
    assert (named["expected"], named["found"]) == ("customers/1", "customers/2")
