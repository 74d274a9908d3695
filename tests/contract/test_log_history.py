"""The history of the log: with every position, and a position of another one is never served."""

import pytest

from storelog.client import HistoryIsAnother, Storelog
from support.live import LiveReader
from support.system import ANN, System, wait_for

HISTORY = "storelog-history"
ANOTHER = "00000000-0000-4000-8000-000000000000"


def read(shop: System, path: str) -> str:
    reply = shop.queries.get(path)
    assert reply.status == 200, reply.raw
    return reply.headers[HISTORY]


def test_every_response_that_names_a_position_names_its_history(shop: System) -> None:
    key = {"Idempotency-Key": "a-history-with-each-position"}
    first = shop.commands.post("/customers", ANN, key)
    again = shop.commands.post("/customers", ANN, key)
    path = f"/customers/{first.json['customerId']}"
    others = [
        shop.commands.put(path, ANN),
        shop.commands.get("/events"),
        shop.commands.delete(path),
    ]
    (kept,) = shop.sql("SELECT history::text FROM log_histories")
    histories = {reply.headers[HISTORY] for reply in (first, again, *others)}
    assert histories == {kept["history"]}
    assert again.headers["idempotency-replayed"] == "true"
    shop.wait_projected()
    paths = ["/customers", "/orders", "/products", "/product-sold", "/operations"]
    paths += [
        "/analytics/total-sales",
        "/analytics/top-customers",
        f"/customers?asOf={first.position}",
    ]
    assert {read(shop, path) for path in paths} == histories
    refused = shop.commands.post("/customers", {"name": ""})
    assert refused.status == 422
    assert HISTORY not in refused.headers


@pytest.mark.parametrize(
    "path", ["/customers/{c}", "/customers", "/orders", "/analytics/total-sales", "/live?after={p}"]
)
def test_a_read_that_names_a_position_of_another_history_is_409(shop: System, path: str) -> None:
    made = shop.commands.post("/customers", ANN)
    filled = path.format(c=made.json["customerId"], p=made.position)
    headers = {"Storelog-Wait-For": str(made.position), "Prefer": "wait=30"}
    reply = shop.queries.get(filled, headers | {"Storelog-History": ANOTHER})
    assert (reply.status, reply.slug) == (409, "other-history")
    assert reply.json["history"] == made.headers[HISTORY]
    assert reply.json["asked"] == ANOTHER
    own = made.headers[HISTORY]
    if path.startswith("/live"):
        address = shop.url("query-service")
        with LiveReader(address, filled, {"Storelog-History": own}) as live:
            assert live.said[HISTORY] == own
        return
    reply = shop.queries.get(filled, headers | {"Storelog-History": own.upper()})
    assert reply.status == 200, reply.raw
    assert reply.headers[HISTORY] == own


def test_a_history_that_is_no_id_is_400(shop: System) -> None:
    reply = shop.queries.get("/customers", {"Storelog-History": "the first"})
    assert (reply.status, reply.slug) == (400, "malformed-request")


def test_a_client_sends_the_history_with_its_position_and_learns_of_another(shop: System) -> None:
    with Storelog(shop.settings.command_url, shop.settings.query_url) as client:
        customer = client.create_customer("Ann Miller", "ann@example.com")
        assert client.get_customer(customer.customer_id).name == "Ann Miller"
        own, client.log_history = client.log_history, ANOTHER
        with pytest.raises(HistoryIsAnother) as raised:
            client.get_customer(customer.customer_id)
        assert raised.value.history == own
        # A position of the history before says nothing of the one that begins with this command.
        client.position = 10**9
        client.delete_customer(customer.customer_id)
        assert client.log_history == own
        assert client.position < 10**9


def test_migrate_brings_the_histories_to_mongodb(shop: System) -> None:
    (kept,) = shop.sql("SELECT history::text, began_after FROM log_histories")
    origin = shop.mongo["api_keys"].find_one({"_id": "origin"})
    assert origin is not None
    assert origin["histories"] == [{"id": kept["history"], "beganAfter": kept["began_after"]}]
    wait_for(
        lambda: {c["history"] for c in shop.mongo.checkpoints.find()} == {kept["history"]},
        "the checkpoints' history",
    )
