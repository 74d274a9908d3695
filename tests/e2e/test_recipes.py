"""The recipes of CONTRIBUTING.md, followed in a copy of the repository by a shop that goes on."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from support.embedded import EmbeddedServers, new_settings
from support.http import Client
from support.other_release import go_on_with
from support.parsed import ROOT
from support.recipes import follow, recipes
from support.system import System, trade, wait_for

RECIPES = recipes()
IGNORED = (".*", "__pycache__", "build", "*.jsonl")
SPENDING = "/analytics/customer-spending"
COLOURED = {"name": "Bowl", "price": "4.00", "stock": 3, "colour": "dark green"}
SONS = {"name": "Stand & Sons", "email": "orders@stand.example"}
# What a newcomer runs after each recipe, and what of the unit tests no recipe is to change.
UNIT = (
    "generated",
    "client_parameters",
    "declarations",
    "declared_once",
    "migrated_columns",
    "problems",
    "two_folds",
)
CHECKS = (
    ("ruff", "format", "--check", "src", "generate"),
    ("ruff", "check", "src", "generate"),
    ("mypy", "src", "generate"),
    ("generate",),
    (
        *("pytest", "-q", "-p", "no:cacheprovider", "tests/test_tidy.py"),
        *(f"tests/unit/test_{name}.py" for name in UNIT),
    ),
)
TIME_LIMIT = 300


def copied(folder: Path) -> Path:
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*IGNORED))
    return folder


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which every recipe was followed."""
    folder = copied(tmp_path_factory.mktemp("recipes") / "storelog")
    for edits in RECIPES.values():
        follow(edits, folder)
    return folder


@pytest.fixture(scope="module")
def shop(servers: EmbeddedServers, copy: Path) -> Iterator[System]:
    """A shop with a history that goes on with the copy, after what `migrate` says is to be done."""
    with System(new_settings(servers)) as system:
        trade(system)
        system.wait_projected()
        go_on_with(copy / "src", system)
        assert system.queries.get(SPENDING).status == 503
        rebuild(system)
        wait_for(lambda: system.queries.get(SPENDING).status == 200, "the promotion")
        yield system
        verified(system)


def rebuild(system: System, *more: str) -> None:
    done = system.cli("rebuild", *(more or ("--promote",)))
    assert done.returncode == 0, done.stdout + done.stderr


def verified(system: System) -> Counter[str]:
    """Return how many of each kind `verify` has compared; fail where anything differs."""
    done = system.cli("verify", "--json")
    told = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, told["differences"]) == (0, []), done.stdout + done.stderr
    return Counter(told["checked"])


def sent(system: System, method: str, path: str, body: Any, status: int = 200) -> tuple[Any, int]:
    """Send a command, wait until it can be read, and return what it says and its position."""
    reply = system.commands.send(method, path, body)
    assert reply.status == status, reply.raw
    system.wait_projected(reply.position)
    return (reply.json if reply.raw else None), reply.position


def seen(client: Client, path: str) -> Any:
    reply = client.get(path)
    assert reply.status == 200, reply.raw
    return reply.json


@pytest.mark.parametrize("title", RECIPES)
def test_each_recipe_alone_makes_a_package_that_starts(title: str, tmp_path: Path) -> None:
    package = tmp_path / "src" / "storelog"
    package.parent.mkdir()
    shutil.copytree(ROOT / "src" / "storelog", package)
    follow([edit for edit in RECIPES[title] if edit.path.startswith("src/")], tmp_path)
    argv = [sys.executable, "-m", "storelog", "--help"]
    everything = "import storelog.query_service.app, storelog.command_service.app"
    for command in (argv, [sys.executable, "-c", everything]):
        environment = {"PYTHONPATH": str(tmp_path / "src"), "PATH": ""}
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check[0])
def test_the_checks_of_the_repository_pass_with_all_recipes(
    check: tuple[str, ...], copy: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *check],
        env={"PYTHONPATH": f"{copy / 'src'}:{copy / 'tests'}:{copy}", "PATH": ""},
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_added_field_is_written_read_kept_and_null_before_there_was_any(shop: System) -> None:
    made, position = sent(shop, "POST", "/products", COLOURED, 201)
    path = f"/products/{made['productId']}"
    assert made["colour"] == seen(shop.queries, path)["colour"] == "dark green"
    sent(shop, "PUT", path, {"name": "Bowl", "price": "4.50", "colour": "red"})
    changed, _ = sent(shop, "PUT", path, {"name": "Bowl", "price": "4.75"})
    assert changed["colour"] == seen(shop.queries, path)["colour"] == "red"
    assert seen(shop.queries, f"{path}?asOf={position}")["colour"] == "dark green"
    assert seen(shop.queries, "/products/3")["colour"] is None
    assert seen(shop.queries, "/products/3?asOf=8")["colour"] is None
    too_long = shop.commands.post("/products", COLOURED | {"colour": "x" * 41})
    assert (too_long.status, too_long.pointers) == (422, ["/colour"])


def test_an_added_event_sets_its_field_alone_and_is_told_everywhere(shop: System) -> None:
    before, position = sent(shop, "POST", "/products", COLOURED | {"colour": None}, 201)
    path = f"/products/{before['productId']}"
    after, _ = sent(shop, "POST", f"{path}/prices", {"price": "5.25"})
    assert after == before | {"price": "5.25"}
    assert seen(shop.queries, path) == after
    assert seen(shop.queries, f"{path}?asOf={position}") == before
    newest, first = seen(shop.queries, f"/history{path}")["items"]
    assert newest["changed"] == [{"field": "price", "from": "4.00", "to": "5.25"}]
    log = seen(shop.commands, f"/events?aggregate=product-{before['productId']}")["items"]
    assert [each["eventType"] for each in log] == [first["eventType"], newest["eventType"]]
    stale = shop.commands.post(f"{path}/prices", {"price": "6"}, headers={"If-Match": '"1"'})
    assert (stale.status, stale.slug) == (412, "stale-version")


def test_an_added_read_model_holds_what_happened_before_and_after_it_came(shop: System) -> None:
    shop.new_order(1, (3, 2))
    shop.wait_projected()
    orders: Counter[int] = Counter()
    spent: dict[int, Decimal] = {}
    for order in shop.queries.pages("/orders"):
        customer = order["customerId"]
        orders[customer] += 1
        spent[customer] = spent.get(customer, Decimal()) + Decimal(order["totalPrice"])
    items = shop.queries.pages(SPENDING, limit=2)
    shown = {each["customerId"]: (each["orders"], Decimal(each["spent"])) for each in items}
    assert shown == {customer: (orders[customer], spent[customer]) for customer in orders}
    assert shop.queries.get(f"{SPENDING}?asOf=1").status == 422


def test_an_added_aggregate_is_written_listed_found_and_shown_as_it_was(shop: System) -> None:
    made, position = sent(shop, "POST", "/suppliers", SONS, 201)
    others = [
        sent(shop, "POST", "/suppliers", SONS | {"name": f"Bowls {n}"}, 201)[0] for n in range(3)
    ]
    path = f"/suppliers/{made['supplierId']}"
    changed, second = sent(shop, "PUT", path, SONS | {"name": "Sons of Stand"})
    assert seen(shop.queries, path) == changed == made | {"name": "Sons of Stand"}
    assert seen(shop.queries, f"{path}?asOf={position}") == made
    assert seen(shop.queries, "/suppliers?limit=2&sort=-id")["items"] == others[:0:-1]
    assert list(shop.queries.pages("/suppliers", limit=3)) == [changed, *others]
    assert seen(shop.queries, "/suppliers?q=son")["items"] == [changed]
    assert seen(shop.queries, f"/suppliers?asOf={position}")["items"] == [made]
    sent(shop, "DELETE", path, None, 204)
    assert shop.queries.get(path).status == 404
    assert seen(shop.queries, f"{path}?asOf={second}") == changed
    assert [each["version"] for each in seen(shop.queries, f"/history{path}")["items"]] == [3, 2, 1]
    assert shop.commands.send("PUT", path, SONS).status == 404


def test_a_rebuild_of_both_sides_shows_the_same_and_verify_finds_nothing(shop: System) -> None:
    paths = ("/products", "/suppliers", SPENDING)
    before = [list(shop.queries.pages(path)) for path in paths]
    checked = verified(shop)
    for place in ("postgresql.suppliers", "mongodb.suppliers", "mongodb.supplier_names"):
        assert checked[place], place
    assert checked["mongodb.customer_spending"]
    rebuild(shop, "--state-tables")
    rebuild(shop)
    assert [list(shop.queries.pages(path)) for path in paths] == before
    assert verified(shop) == checked
