"""Old read models: one is kept for a roll back, the others go; dead letters come along."""

import json
from typing import Any

from storelog.read_side import POINTERS, database_name
from storelog.upkeep.read_models import sizes
from support.kafka import HostileRelay
from support.system import System, wait_for


def promoted(system: System, *argv: str) -> str:
    """Promote a new read model; return its database."""
    done = system.cli("rebuild", "--promote", "--json", *argv)
    assert done.returncode == 0, done.stdout + done.stderr
    return str(json.loads(done.stdout.splitlines()[-1])["database"])


def listed(system: System) -> list[tuple[str, Any]]:
    done = system.cli("dead-letters", "list", "--json")
    return [(item["state"], item["position"]) for item in json.loads(done.stdout)["items"]]


def test_a_promotion_keeps_one_old_read_model_and_the_dead_letters_that_hold(
    traded: System,
) -> None:
    (last,) = traded.sql("SELECT max(position) AS position FROM events WHERE version = 1")
    traded.sql("ALTER TABLE events DISABLE TRIGGER events_are_append_only")
    # No projector of this version can ever read it, whether from Kafka or from the log.
    traded.sql("UPDATE events SET schema_version = 9 WHERE position = $1", last["position"])
    traded.start("relay")
    traded.wait_ready("relay")
    rubbish = HostileRelay(traded.settings)
    rubbish.send_rubbish("OrderCreated", b"rubbish")
    rubbish.flush()
    traded.wait_projected()
    dead = [("parked", last["position"]), ("foreign", None)]
    wait_for(lambda: listed(traded) == dead, f"dead letters: {listed(traded)}")

    client, home = traded.mongo.client, database_name(traded.settings)
    client[home].api_keys.insert_one({"_id": "beside", "isUsed": False, "keys": []})
    first = promoted(traded)
    assert listed(traded) == dead
    assert client[home].orders.find_one() is not None, "kept for a roll back"
    second = promoted(traded)
    assert listed(traded) == dead
    left = set(client[home].list_collection_names())
    assert left == {POINTERS, "api_keys"}
    third = promoted(traded)
    databases = [name for name in client.list_database_names() if name.startswith(f"{home}_r")]
    assert sorted(databases) == sorted([second, third])
    assert first not in databases
    roles = {model["database"]: model["role"] for model in sizes(traded.settings)}
    assert roles == {second: "previous", third: "active"}
    assert all(model["bytes"] is None or model["bytes"] > 0 for model in sizes(traded.settings))

    done = traded.cli("rebuild", "--rollback", "--json")
    assert done.returncode == 0, done.stderr
    assert traded.mongo.name == second
    assert listed(traded) == dead
