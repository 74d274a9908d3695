"""The real servers, once a run; a database and a topic prefix of its own for each system."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from pymongo.database import Database

from storelog.config import Settings
from storelog.projector.databases.connection import connect
from support.console import NAME as HTML_NAME
from support.console import ROLES as CONSOLE_ROLES
from support.embedded import EmbeddedServers, new_settings
from support.http import Client
from support.provider import Provider
from support.pure import watched
from support.system import System, trade

# A busy machine is slow, which says nothing about a rule.
hypothesis_settings.register_profile("storelog", deadline=None)
hypothesis_settings.load_profile("storelog")

UNIT = Path(__file__).parent / "unit"
RETAIL_FILE = os.environ.get("STORELOG_TEST_RETAIL_FILE")


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """Let SIGINT reach the processes of the tests, where the run itself ignores it.

    A shell starts what is put in the background with SIGINT ignored, and children inherit it.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def pure(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test in tests/unit that starts a process or uses a socket."""
    if UNIT not in request.path.parents:
        yield
        return
    with watched() as seen:
        yield
    assert not seen, "a unit test starts no process and uses no network: tests/integration may"


@pytest.fixture(scope="session")
def servers() -> Iterator[EmbeddedServers]:
    """PostgreSQL, Kafka and a MongoDB-wire server, as `storelog up` embeds them."""
    home = Path(tempfile.mkdtemp(prefix="storelog-tests-"))
    running = EmbeddedServers(home)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def settings(servers: EmbeddedServers) -> Settings:
    """Settings of a new, empty, migrated system: its own databases and topics."""
    return new_settings(servers)


@pytest.fixture(scope="session")
def shop(servers: EmbeddedServers) -> Iterator[System]:
    """One system with all four processes, shared by tests that look at it from outside."""
    with System(new_settings(servers)) as system:
        yield system


@pytest.fixture(scope="session")
def keyed_shop(servers: EmbeddedServers) -> Iterator[System]:
    """A shop with a key of each role, a product and a customer whose names are HTML, an order."""
    digests = {role: sha256(role.encode()).hexdigest() for role in CONSOLE_ROLES}
    keys = ",".join(f"{role}-er:{role}:{digest}" for role, digest in digests.items())
    environment = {"STORELOG_API_KEYS": keys}
    with System(new_settings(servers), environment=environment, key="admin") as system:
        product, customer = system.new_product(name=HTML_NAME), system.new_customer(name=HTML_NAME)
        system.new_order(customer["customerId"], (product["productId"], 2))
        system.wait_projected()
        yield system


@pytest.fixture
def system(servers: EmbeddedServers) -> Iterator[System]:
    """A system of the test's own, to be hurt."""
    with System(new_settings(servers)) as system:
        yield system


@pytest.fixture
def commands(shop: System) -> Client:
    """The shared system's Command Service."""
    return shop.commands


@pytest.fixture
def queries(shop: System) -> Client:
    """The shared system's Query Service."""
    return shop.queries


@pytest.fixture(scope="session")
def retail_slice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real shop's file where STORELOG_TEST_RETAIL_FILE names it, else a seeded stand-in."""
    if RETAIL_FILE:
        return Path(RETAIL_FILE)
    from support.retail import write_stand_in

    return write_stand_in(tmp_path_factory.mktemp("retail") / "stand-in.csv", seed=7)


@pytest.fixture
def traded(settings: Settings) -> Iterator[System]:
    """A log that no relay has sent yet, and a projector that waits for it."""
    with System(settings, ("command-service", "projector", "query-service")) as system:
        trade(system)
        yield system


@pytest.fixture
def provider() -> Iterator[Provider]:
    """An OpenID provider with a key of each kind."""
    with Provider() as provider:
        provider.add_rsa("one")
        provider.add_ec("two")
        yield provider


@pytest.fixture
def database(settings: Settings) -> Iterator[Database[dict[str, Any]]]:
    """MongoDB with nothing in it, as a projector is connected to it."""
    home = connect(settings)
    try:
        yield home
    finally:
        home.client.close()
