"""Verify names whatever was changed by hand, where it was; nothing else."""

import json
from pathlib import Path
from typing import Any

from bson.int64 import Int64

from storelog.envelope import EVENT_COLUMNS, GENESIS_HASH, chain_hash, envelope_from_row
from support.system import System, trade


def verify(system: System, *argv: str) -> tuple[int, dict[str, Any]]:
    done = system.cli("verify", "--json", *argv)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def places(report: dict[str, Any]) -> list[tuple[str, Any, str]]:
    return sorted((d["where"], d["id"], d["field"]) for d in report["differences"])


def test_what_was_changed_by_hand_is_named_and_only_the_read_model_is_repaired(
    system: System,
) -> None:
    trade(system)
    system.wait_projected()
    mongo = system.mongo
    mongo.orders.update_one(
        {"_id": 2}, {"$set": {"orderItems.0.quantity": 9, "customerId": Int64(3)}}
    )
    mongo.orders.delete_one({"_id": 3})
    mongo.product_sold.update_one({"_id": 5}, {"$set": {"position": Int64(1)}})
    mongo.product_sold.insert_one({"_id": Int64(999), "position": Int64(3), "productId": Int64(1)})
    mongo.product_sold.update_one({"_id": 1}, {"$unset": {"cancelled": "", "cancelPosition": ""}})
    mongo.customers.update_one({"_id": 4}, {"$set": {"position": Int64(2), "name": "Older"}})
    model = mongo.products.find_one({"_id": 1})
    assert model is not None
    mongo.products.insert_one({**model, "_id": Int64(777), "product_id": Int64(777)})
    system.sql("UPDATE customers SET name = 'Spoilt' WHERE customer_id = 3")
    code, report = verify(system)
    assert code == 1
    assert places(report) == [
        ("mongodb.customers", 4, "position"),
        ("mongodb.orders", 2, "customerId"),
        ("mongodb.orders", 2, "orderItems[0].quantity"),
        ("mongodb.orders", 3, "document"),
        ("mongodb.product_sold", 1, "cancelled"),
        ("mongodb.product_sold", 5, "position"),
        ("mongodb.product_sold", 999, "document"),
        ("mongodb.products", 777, "document"),
        ("postgresql.customers", 3, "name"),
    ]
    code, report = verify(system, "--repair")
    assert (code, report["repaired"]) == (1, 7)
    code, report = verify(system)
    assert places(report) == [("postgresql.customers", 3, "name")]


def rewrite_the_log(system: System, from_position: int) -> None:
    """Change one event and every hash after it, as one who owns PostgreSQL can."""
    rows = system.sql(f"SELECT {EVENT_COLUMNS}, payload_hash FROM events ORDER BY position")
    previous = GENESIS_HASH
    system.sql("ALTER TABLE events DISABLE TRIGGER events_are_append_only")
    for row in rows:
        event = envelope_from_row(tuple(row.values())[:-1])
        if event.position >= from_position:
            if event.position == from_position:
                event.correlation_id = "rewritten"
            event.hash = chain_hash(previous, event, row["payload_hash"])
            system.sql(
                "UPDATE events SET hash = $1, correlation_id = $2 WHERE position = $3",
                event.hash,
                event.correlation_id,
                event.position,
            )
        previous = event.hash
    system.sql("UPDATE log_head SET hash = $1", previous)


def test_an_anchor_finds_even_a_rewritten_chain(system: System, tmp_path: Path) -> None:
    for _ in range(3):
        system.new_customer()
    anchor = tmp_path / "anchor"
    assert verify(system, "--anchor", str(anchor))[0] == 0
    system.new_customer()
    code, report = verify(system, "--anchor", str(anchor))
    assert (code, report["checked"]["anchors"]) == (0, 1)
    assert len(anchor.read_text().splitlines()) == 2

    forged = json.loads(anchor.read_text().splitlines()[0]) | {"position": 2}
    other = tmp_path / "forged"
    other.write_text(json.dumps(forged))
    assert ("log", 2, "anchor") in places(verify(system, "--anchor", str(other))[1])
    other.write_text("nothing")
    assert system.cli("verify", "--anchor", str(other)).returncode == 2

    rewrite_the_log(system, 2)
    assert [p for p in places(verify(system)[1]) if p[0] == "log"] == []
    code, report = verify(system, "--anchor", str(anchor))
    assert code == 1
    assert [p for p in places(report) if p[0] == "log"] == [
        ("log", 3, "anchor"),
        ("log", 4, "anchor"),
    ]
    assert len(anchor.read_text().splitlines()) == 2


def test_an_anchor_finds_a_log_that_ends_before_a_signed_head(
    system: System, tmp_path: Path
) -> None:
    for _ in range(3):
        system.new_customer()
    anchor = tmp_path / "anchor"
    assert verify(system, "--anchor", str(anchor))[0] == 0
    # All that names the last event goes with it, so that what is left agrees with itself.
    system.sql("ALTER TABLE events DISABLE TRIGGER events_are_append_only")
    system.sql("DELETE FROM events WHERE position = 3")
    system.sql("DELETE FROM customers WHERE customer_id = 3")
    system.sql(
        "UPDATE log_head h SET position = e.position, hash = e.hash"
        " FROM events e WHERE e.position = 2"
    )
    assert [p for p in places(verify(system)[1]) if not p[0].startswith("mongodb")] == []
    code, report = verify(system, "--anchor", str(anchor))
    assert code == 1
    (found,) = [d for d in report["differences"] if d["where"] == "log"]
    assert (found["id"], found["field"], found["found"]) == (3, "anchor", None)
    assert len(anchor.read_text().splitlines()) == 1


def test_a_relay_that_is_down_is_named_and_is_no_difference(traded: System) -> None:
    done = traded.cli("verify")
    assert done.returncode == 3, done.stdout + done.stderr
    assert f"the relay has sent 0 of {traded.written()} events" in done.stderr
    assert "DIFFERS" not in done.stdout + done.stderr
