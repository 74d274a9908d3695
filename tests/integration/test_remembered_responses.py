"""What is remembered of responses: nothing twice, nothing for longer than its time."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from support.http import Client
from support.system import ANN, CAKE_STAND, System, wait_for

KEPT = ("etag", "location", "storelog-position", "content-type")
MADE = 3_000


def key(name: str) -> dict[str, str]:
    return {"Idempotency-Key": name}


def stored(system: System, name: str) -> dict[str, Any]:
    (row,) = system.sql(
        "SELECT k.*, pg_column_size(k.*) AS size FROM idempotency_keys k WHERE key = $1", name
    )
    return row


def remember(system: System, prefix: str, number: int, expires: str) -> None:
    """Put keys into the table, as if they were used before."""
    system.sql(
        "INSERT INTO idempotency_keys (caller, key, request_hash, status, headers, body,"
        " expires_at) SELECT '', $1 || n, '', 204, '{}', '', now() + $3::text::interval"
        " FROM generate_series(1, $2::integer) n",
        prefix,
        number,
        expires,
    )


def count(system: System, prefix: str) -> int:
    rows = system.sql(
        "SELECT count(*) AS n FROM idempotency_keys WHERE starts_with(key, $1)", prefix
    )
    return int(rows[0]["n"])


def metric(client: Client, name: str) -> float:
    lines = client.get("/metrics").raw.decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


def large_order(system: System, lines: int) -> dict[str, Any]:
    customer, product = system.new_customer(), system.new_product(name="x" * 200, stock=lines)
    items = [{"productId": product["productId"], "quantity": 1}] * lines
    return {"customerId": customer["customerId"], "orderItems": items}


def test_what_was_created_is_replayed_from_its_event_byte_for_byte(shop: System) -> None:
    for name, path, body in (
        ("made-customer", "/customers", ANN | {"name": 'Zoë "\\ \u2028 Müller 😀'}),
        ("made-product", "/products", CAKE_STAND | {"price": "0.1250"}),
        ("made-order", "/orders", large_order(shop, 2_000)),
    ):
        first = shop.commands.post(path, body, key(name))
        assert first.status == 201
        row = stored(shop, name)
        assert row["body"] is None
        assert row["size"] < 1_000
        again = shop.commands.post(path, body, key(name))
        assert (again.status, again.raw) == (201, first.raw)
        assert [again.headers[each] for each in KEPT] == [first.headers[each] for each in KEPT]
        assert again.headers["idempotency-replayed"] == "true"


def test_created_in_one_batch_with_others_each_has_the_body_of_its_own_event(
    shop: System,
) -> None:
    order = large_order(shop, 40)
    order["orderItems"] = order["orderItems"][:2]
    with ThreadPoolExecutor(16) as pool:
        firsts = list(
            pool.map(lambda n: shop.commands.post("/orders", order, key(f"many-{n}")), range(16))
        )
    assert {first.status for first in firsts} == {201}
    for number, first in enumerate(firsts):
        assert shop.commands.post("/orders", order, key(f"many-{number}")).raw == first.raw


def test_a_body_that_an_earlier_release_stored_is_replayed(shop: System) -> None:
    first = shop.commands.post("/customers", ANN, key("of-before"))
    shop.sql(
        "UPDATE idempotency_keys SET body = $1, event_position = NULL WHERE key = 'of-before'",
        first.raw,
    )
    again = shop.commands.post("/customers", ANN, key("of-before"))
    assert (again.status, again.raw) == (201, first.raw)


@pytest.mark.parametrize("lines", [100, 2_000])
def test_a_rejection_names_at_most_a_hundred_lines_and_says_how_many_more(
    shop: System, lines: int
) -> None:
    customer = shop.new_customer()["customerId"]
    items = [{"productId": 9_000_000 + number, "quantity": 1} for number in range(lines)]
    body, name = {"customerId": customer, "orderItems": items}, f"unknown-{lines}"
    first = shop.commands.post("/orders", body, key(name))
    assert (first.status, first.slug) == (422, "unknown-product")
    assert set(first.pointers) == {f"/orderItems/{number}/productId" for number in range(100)}
    assert first.json.get("omitted", 0) == lines - 100
    assert stored(shop, name)["size"] < 12_000
    assert shop.commands.post("/orders", body, key(name)).raw == first.raw


def test_expired_keys_are_removed_while_commands_go_on_and_others_stay(shop: System) -> None:
    removed = metric(shop.commands, "storelog_idempotency_keys_removed_total")
    remember(shop, "kept/", 50, "1 hour")
    remember(shop, "gone/", MADE, "-1 second")
    shop.sql(
        "INSERT INTO idempotency_keys (caller, key, request_hash, status, headers, body)"
        " VALUES ('', 'import/kept', '', 204, '{}', '')"
    )
    # One that is used again at the same time has an effect of its own.
    assert shop.commands.post("/customers", ANN, key("gone/7")).status == 201
    wait_for(lambda: count(shop, "gone/") == 1, "the expired keys to be removed")
    assert shop.commands.post("/customers", ANN, key("gone/7")).status == 201
    assert (count(shop, "kept/"), count(shop, "import/kept")) == (50, 1)
    found = metric(shop.commands, "storelog_idempotency_keys_removed_total") - removed
    assert MADE - 1 <= found <= MADE


def test_the_table_grows_no_further_than_the_keys_of_one_retention_time(shop: System) -> None:
    sizes = []
    for generation in range(4):
        prefix = f"generation-{generation}/"
        remember(shop, prefix, MADE, "-1 second")
        (size,) = shop.sql("SELECT pg_total_relation_size('idempotency_keys') AS bytes")
        sizes.append(size["bytes"])

        def is_gone(prefix: str = prefix) -> bool:
            return count(shop, prefix) == 0

        wait_for(is_gone, "the keys to go")
        # PostgreSQL does so by itself, some minutes later.
        shop.sql("VACUUM idempotency_keys")
    assert max(sizes[1:]) <= 1.5 * sizes[0]

    def is_told() -> bool:
        # What a scrape reads of PostgreSQL, it reads once a second.
        told = metric(shop.commands, "storelog_idempotency_keys_bytes")
        return 0 < told <= 1.5 * sizes[0] and metric(shop.commands, "storelog_idempotency_keys") > 0

    wait_for(is_told, "the metrics to say so")
