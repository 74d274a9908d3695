"""The client says everything that the services understand: each field and each parameter."""

import asyncio
import inspect
import re
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from msgspec import UNSET, structs

from generate.openapi import documents
from storelog.client import AsyncStorelog, Storelog
from storelog.client.bodies import Line
from storelog.client.commands import Commands
from storelog.client.operations import Operations
from storelog.client.queries import Queries
from storelog.client.session import Listing
from storelog.shop.commands import REQUESTS

AT = datetime(2026, 1, 2, tzinfo=UTC)
# A value for each parameter of a method; every other one is a number.
SAMPLES: dict[str, Any] = {
    "price": "1.50",
    "lines": [Line(1, 2, "3.00")],
    "order_date": AT,
    "start": AT,
    "end": AT,
    "key": "k",
    "kind": "order",
    "cancelled": True,
    "expires_at": AT,
    "ids": ["5"],
}
# What only paging and browsing people use.
NOT_IN_LISTINGS = {"limit", "cursor", "count"}
# What has no endpoint of its own; `find_events` has every parameter of `list_events`'s.
OTHERS = ("projected", "history", "list_events")


class Said(BaseException):
    """What a call would have sent."""

    def __init__(self, method: str, path: str, said: Any, *more: Any) -> None:
        super().__init__(path)
        self.method, self.path, self.said, self.more = method, path, said, more


class Recorder(AsyncStorelog):
    """A client that sends nothing."""

    def __init__(self) -> None:
        pass

    async def command(
        self, method: str, path: str, body: Any, key: str | None, if_version: int | None = None
    ) -> Any:
        raise Said(method, path, body, key, if_version)

    async def get(self, path: str, asked: Any = None, **_: Any) -> Any:
        raise Said("GET", path, asked or {})

    async def get_log(self, asked: Any) -> Any:
        raise Said("GET", "/events", asked)

    async def operate(
        self, method: str, service: str, path: str, body: Any = None, asked: Any = None
    ) -> Any:
        raise Said(method, path, body or asked, service)


OPERATED = [name for name in vars(Operations) if not name.startswith("_")]


def methods(of: type[Any]) -> list[str]:
    return [name for name in vars(of) if not name.startswith("_")]


def said_by(name: str) -> Said:
    """Return what a method sends when every parameter is given."""
    method = getattr(Recorder(), name)
    parameters = inspect.signature(method).parameters
    found = method(**{each: SAMPLES.get(each, 5) for each in parameters})
    work = found.next_page() if isinstance(found, Listing) else found
    with pytest.raises(Said) as said:
        asyncio.run(cast(Any, work))
    return said.value


def operations(service: str) -> dict[tuple[str, str], Any]:
    """Return the operations of a service, each id in a path as `5`."""
    return {
        (method.upper(), re.sub(r"\{\w+\}", "5", path)): operation
        for path, some in documents()[service]["paths"].items()
        for method, operation in some.items()
    }


def test_every_command_of_the_service_is_a_method() -> None:
    sent = {(said.method, said.path) for said in map(said_by, methods(Commands) + OPERATED)}
    at_command = {place for place in sent if not place[1].startswith("/dead-letters")}
    written = {place for place in operations("command") if place[0] != "GET"}
    assert written <= at_command
    assert {place for place in at_command if place[0] != "GET"} == written


@pytest.mark.parametrize("name", OPERATED)
def test_what_operators_call_is_a_route_of_the_service_with_all_its_members(name: str) -> None:
    said = said_by(name)
    service = said.more[0] if said.more else "command"
    described = operations(service)[said.method, said.path]
    asked = {each["name"] for each in described["parameters"] if each["in"] == "query"}
    if "requestBody" in described:
        schema = described["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        asked = set(
            documents()[service]["components"]["schemas"][schema.rpartition("/")[2]]["properties"]
        )
    assert set(said.said or ()) == asked


def test_a_command_says_every_field_that_its_request_may_have() -> None:
    bodies = [said.said for said in map(said_by, methods(Commands)) if said.said is not None]
    for body in bodies:
        for each in (body, *structs.asdict(body).get("order_items", ())):
            missing = [n for n, v in structs.asdict(each).items() if v is None or v is UNSET]
            assert not missing, type(each).__name__
    assert {type(body) for body in bodies} == set(REQUESTS)


@pytest.mark.parametrize("name", [n for n in methods(Queries) if n not in OTHERS])
def test_a_read_has_every_parameter_of_its_endpoint(name: str) -> None:
    said = said_by(name)
    described = operations("query")["GET", said.path]["parameters"]
    known = {parameter["name"] for parameter in described if parameter["in"] == "query"}
    given = {key for key, value in said.said.items() if value is not None}
    assert known - given <= NOT_IN_LISTINGS - given
    assert given <= known | {"limit"}


def test_the_blocking_client_has_every_method() -> None:
    assert {*methods(Commands), *methods(Queries), *OPERATED} <= set(vars(Storelog))


@pytest.mark.parametrize("name", methods(Commands))
def test_a_command_has_its_key_and_the_version_that_its_endpoint_compares(name: str) -> None:
    said = said_by(name)
    described = operations("command")[said.method, said.path]["parameters"]
    has_version = "If-Match" in {parameter["name"] for parameter in described}
    assert said.more == ("k", 5 if has_version else None)
