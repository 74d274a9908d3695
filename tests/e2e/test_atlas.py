"""What Atlas asks for, on the local server: TLS, users of least rights, mongodb+srv; its limits."""

import asyncio
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dns.resolver
import pytest
from bson import Int64
from pymongo import MongoClient
from pymongo.errors import OperationFailure, WriteError

from storelog.projector.databases.connection import connect
from storelog.projector.databases.validators import SCHEMAS
from storelog.server_setup import set_up_servers
from support.embedded import EmbeddedServers, new_settings
from support.secure_mongodb import CLUSTER, NODE, SecureMongoDb, name_server
from support.system import System

M0_INDEXES_OF_A_COLLECTION = 64
FOUR = ("customers", "products", "orders", "product_sold")


@pytest.fixture(scope="module")
def atlas() -> Iterator[SecureMongoDb]:
    home = Path(tempfile.mkdtemp(prefix="storelog-atlas-"))
    try:
        with SecureMongoDb(home) as server:
            yield server
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def system(servers: EmbeddedServers, atlas: SecureMongoDb) -> Iterator[System]:
    """All four processes; the projector may write, the Query Service only read."""
    base = replace(new_settings(servers), mongodb_uri=atlas.uri("projector"))
    asyncio.run(set_up_servers(base))
    with System(base, ("command-service", "relay", "projector")) as writing:
        writing.settings = replace(writing.settings, mongodb_uri=atlas.uri("query"))
        writing.start("query-service")
        writing.wait_ready("query-service")
        yield writing


def test_an_order_can_be_read_over_tls_with_least_rights(system: System) -> None:
    customer = system.new_customer()["customerId"]
    product = system.new_product()["productId"]
    order = system.new_order(customer, (product, 2))["orderId"]
    system.wait_projected()
    assert system.queries.get(f"/orders/{order}").json["totalPrice"] == "25.50"
    assert system.queries.get("/analytics/total-sales").json["orders"] == 1


@pytest.mark.parametrize(
    ("user", "database"), [("query", "storelog"), ("query", "other"), ("projector", "other")]
)
def test_an_operation_that_a_role_does_not_allow_is_rejected(
    atlas: SecureMongoDb, user: str, database: str
) -> None:
    client = MongoClient[dict[str, Any]](atlas.uri(user))
    with client, pytest.raises(OperationFailure) as refused:
        client[database]["orders"].insert_one({"_id": Int64(1)})
    assert refused.value.code == 13


def test_a_srv_address_leads_to_the_same_server(
    system: System, atlas: SecureMongoDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def local(host: Any, *more: Any, **named: Any) -> Any:
        return real("127.0.0.1" if host == NODE else host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", local)
    with name_server(atlas.port) as port:
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], port
        monkeypatch.setattr(dns.resolver, "default_resolver", resolver)
        settings = replace(system.settings, mongodb_uri=atlas.srv_uri("projector"))
        database = connect(settings)
        assert CLUSTER in str(settings.mongodb_uri)
        assert database.name == "storelog"
        assert database["orders"].count_documents({}) >= 0
        database.client.close()


def test_indexes_stay_far_below_what_the_free_cluster_allows(system: System) -> None:
    database = MongoClient[dict[str, Any]](system.settings.mongodb_uri).get_default_database()
    counts = {
        name: len(list(database[name].list_indexes())) for name in database.list_collection_names()
    }
    database.client.close()
    assert set(FOUR) <= counts.keys()
    assert max(counts.values()) <= 4 < M0_INDEXES_OF_A_COLLECTION


def test_the_server_rejects_a_value_of_a_wrong_type(system: System) -> None:
    client = MongoClient[dict[str, Any]](
        str(system.settings.mongodb_uri).replace("//query:", "//projector:")
    )
    database = client.get_default_database()
    for name in FOUR:
        options = next(database.list_collections(filter={"name": name}))["options"]
        assert options["validator"] == {"$jsonSchema": SCHEMAS[name]}
        with pytest.raises(WriteError) as refused:
            database[name].insert_one({"_id": "one"})
        assert refused.value.code == 121
    client.close()
