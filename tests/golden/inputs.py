"""What the corpus's inputs lack once the code says more: requests, and payloads that grew older.

`record` adds both before it writes the rest, and changes no line that is there. A route that writes
and that no line of `requests.jsonl` asks for gets 30 requests, made from a seed: limits of each
field, scripts, optional members present and absent. A schema version that is no longer written gets
a line of `older.jsonl`: the newest payload of it that `events.jsonl` still has.
"""

import json
import re
from collections.abc import Iterator
from random import Random
from typing import Any, cast

from storelog.command_service.keys import KeysApi
from storelog.command_service.routes import routes
from storelog.shop.commands import REQUESTS
from storelog.shop.events import KINDS
from storelog.shop.fields import fields_of
from storelog.shop.kinds import (
    Amount,
    Choice,
    EmailAddress,
    Flag,
    Instant,
    Kind,
    Lines,
    PhoneNumber,
    Text,
    Whole,
)
from storelog.web.http import Route
from support.golden import Shop
from support.golden_forms import Json

WANTED, TRIES = 30, 300
# Of one byte and of more, one beyond U+FFFF, and what JSON and HTML escape.
LETTERS = "aZ09 '\"\\/&<é\u0142\u0645\u65e5\u05d0\N{GRINNING FACE}"


def missing_requests(told: list[Json]) -> Iterator[Json]:
    """Yield requests for each route that has none. Raises ValueError where they cause no events."""
    table = routes(cast(Any, None), cast(Any, None), KeysApi(cast(Any, None), ()), None)
    shop: Shop | None = None
    # What deletes comes last, since it leaves less to others.
    for route in sorted(table, key=lambda route: route.method == "DELETE"):
        path = re.sub(r"\{\w+\}", r"(\\d+)", route.path)
        known = any(r["method"] == route.method and re.fullmatch(path, r["path"]) for r in told)
        if route.method == "GET" or route.role != "write" or known:
            continue
        if shop is None:
            shop = Shop()
            for request in told:
                shop.send(request)
        yield from _caused(shop, route, told[-1]["at"])


def _caused(shop: Shop, route: Route, at: str) -> Iterator[Json]:
    """Yield 30 requests of a route that cause events in a shop."""
    random, caused, response = Random(f"{route.method} {route.path}"), 0, None
    for number in range(TRIES):
        request = {
            "at": at,
            "method": route.method,
            "path": _path(shop, route, number),
            "correlationId": f"{route.method} {route.path} {number}",
        }
        if route.operation.request is not None:
            body = body_of(route.operation.request, random, number)
            request["body"] = json.dumps(body, ensure_ascii=False)
        response, events = shop.send(request)
        if events:
            caused += 1
            yield request
        if caused == WANTED:
            return
    raise ValueError(
        f"add requests of {route.method} {route.path} to requests.jsonl by hand: of those made"
        f" from a seed {caused} caused an event, not {WANTED}; the last response is {response}"
    )


def _path(shop: Shop, route: Route, number: int) -> str:
    if "{" not in route.path:
        return route.path
    living = shop.living(route.path.split("/")[1])
    if not living:
        raise ValueError(f"{route.path}: requests.jsonl leaves none that is not deleted")
    return re.sub(r"\{\w+\}", str(living[number % len(living)]), route.path)


def body_of(request: str, random: Random, number: int) -> Json:
    """Return what a client may say of a request: the first are at its limits."""
    structure = next(each for each in REQUESTS if each.__name__ == request)
    body: Json = {}
    for field in fields_of(structure):
        if field.is_import_only or (field.is_optional and random.random() < 0.25):
            continue
        is_null = field.is_nullable and random.random() < 0.25
        body[field.json] = None if is_null else _value(field.kind, random, number)
    return body


def _value(kind: Kind, random: Random, number: int) -> Any:
    match kind:
        case Text(shortest, longest):
            length = (shortest, longest)[number] if number < 2 else random.randint(1, longest)
            return "".join(random.choices(LETTERS, k=length))
        case EmailAddress(longest=longest):
            return f"a{number}@b" if number else f"{'x' * (longest - 2)}@b"
        case PhoneNumber(longest=longest):
            return "+" + "".join(random.choices("0123456789", k=random.randint(3, longest - 1)))
        case Amount(highest=highest):
            return ("0", str(highest))[number] if number < 2 else f"{random.randint(0, 10**6)}.25"
        case Whole(lowest, highest):
            return (lowest, highest)[number] if number < 2 else random.randint(lowest, highest)
        case Instant():
            return f"20{random.randint(10, 99)}-03-{random.randint(10, 28)}T12:00:00.005Z"
        case Flag():
            return random.random() < 0.5
        case Choice(texts):
            return random.choice(texts)
        case Lines():
            raise ValueError("add requests with lines to requests.jsonl by hand")


def missing_older(told: list[Json], events: list[Json]) -> Iterator[Json]:
    """Yield a payload of each older schema version that no line told and that events still have."""
    real = (each for each in told if "onlyOlder" not in each)
    known = {(each["type"], each["schemaVersion"]) for each in real}
    newest = {
        (line["log"]["event_type"], line["log"]["schema_version"]): line
        for line in events
        if "log" in line and line["payload"].startswith("{")
    }
    for (name, version), line in newest.items():
        if (name, version) in known or version >= KINDS[name].version:
            continue
        log = line["log"]
        yield {
            "type": name,
            "schemaVersion": version,
            "aggregate": f"{log['aggregate_type']}-{log['aggregate_id']}",
            "recordedAt": log["recorded_at"].replace("+00:00", "Z"),
            "payload": line["payload"],
        }
