"""What `storelog verify` says of one harm, and of what follows from it."""

from typing import Any

# What a difference shows elsewhere too: totals are compared with sums of their own.
FOLLOWS = {
    "mongodb.figures": {"mongodb.ledger", "totals"},
    "mongodb.ledger": {"mongodb.figures", "totals"},
    "postgresql.order_items": {"totals"},
    "postgresql.orders": {"totals"},
}


def assert_named(differences: list[dict[str, Any]], where: str, thing: int | None) -> None:
    """Fail unless the harm is named, and nothing that does not follow from it."""
    for difference in differences:
        assert difference.keys() == {"where", "id", "field", "expected", "found"}
    named = [d for d in differences if d["where"] == where]
    assert named, differences
    assert thing is None or {d["id"] for d in named} == {thing}
    assert {d["where"] for d in differences} <= {where} | FOLLOWS.get(where, set())
