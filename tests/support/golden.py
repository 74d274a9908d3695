"""The one adapter between the corpus in tests/golden and the code: requests in, recorded forms out.

A shop in memory stands for the servers. Each request goes the way of the Command Service, the relay
and the projector, by their pure functions: the response, the rows of `append_batch`, the event as
the log and Kafka have it, what MongoDB is to hold of it, and what `/live` tells. Whoever rewrites
the inside changes this file only; the corpus stays as it is.
"""

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast
from unittest.mock import patch
from uuid import UUID

from storelog.command_service import batch, store
from storelog.command_service.keys import KeysApi
from storelog.command_service.routes import routes
from storelog.command_service.state import BEFORE_ALL, Head, State
from storelog.command_service.submission import Submission
from storelog.documents import histories
from storelog.documents.forms import body_of
from storelog.documents.histories import Entry
from storelog.documents.ledgers import Fact, leaf_node, parent_node
from storelog.envelope import GENESIS_HASH, ChainedEvent, Envelope
from storelog.errors import Refusal
from storelog.event_codec import event_body, kafka_value, lane_of_event
from storelog.projector.receive.record import change_of, make_record
from storelog.projector.write.ledger_writer import stored
from storelog.read_models.change import Change
from storelog.read_models.orders.query import with_name
from storelog.read_models.product_sold.query import sale_body
from storelog.relay.record_headers import record_headers
from storelog.shop.commands import LINE, NewIds
from storelog.shop.customer import Customer
from storelog.shop.events import ENTITIES
from storelog.shop.kinds import Time
from storelog.shop.order import Order
from storelog.shop.product import Product
from storelog.web.http import Caller, Request, Response
from storelog.web.problems import render
from support.golden_forms import Json, bson_forms, digest_of, fold, kept, plain

LANES = 3
# What follows from the rest is kept whole of the first events of each kind, then by its hash.
FOLLOWING, WHOLE_EVENTS = ("record", "event", "change"), 6
# The columns of the rows that `append_batch` is given, argument by argument from the fourth on.
EVENT = """hash event_id aggregate_type aggregate_id version event_type schema_version payload
    payload_hash occurred_at correlation_id causation_id caller traceparent"""
CUSTOMER = "customer_id name email phone_number version is_deleted"
PRODUCT = "product_id name price stock sku version is_deleted"
ORDER = "order_id order_date customer_id total_price version is_deleted"
ROWS = {
    "customers": CUSTOMER,
    "changed_customers": CUSTOMER,
    "products": PRODUCT,
    "changed_products": PRODUCT,
    "orders": ORDER,
    "changed_orders": ORDER,
    "order_items": "item_id order_id product_id product_name quantity price",
    "idempotency_keys": "caller key request_hash status headers body event_position expires_at",
}
BODIES: dict[str, Callable[[Json], Json]] = {
    "customers": partial(body_of, Customer),
    "products": partial(body_of, Product),
    "orders": lambda found: with_name(body_of(Order, found), None),
    "product_sold": sale_body,
}


class Shop:
    """A shop in memory, with what its events have become."""

    def __init__(self) -> None:
        self._state = State(Head())
        self._ids = dict.fromkeys((*(entity.name for entity in ENTITIES), LINE), 1)
        self._lanes = [0] * LANES
        self._made = 0
        self._shown: Counter[str] = Counter()
        self._now = BEFORE_ALL
        self._writes: batch.Writes | None = None
        self.documents: dict[tuple[str, int], Json] = {}
        self.entries: dict[str, list[Entry]] = {}
        self.facts: list[Fact] = []
        self.words: dict[str, list[str]] = {}
        self._routes = routes(cast(Any, self), cast(Any, None), KeysApi(cast(Any, None), ()), None)

    def living(self, collection: str) -> list[int]:
        """Return the ids of a collection's entities that are not deleted."""
        known = self._state.known[collection].items()
        return [number for number, found in known if found is not None and not found.is_deleted]

    async def submit(self, submission: Submission) -> Response:
        """Stand for the pipeline: decide one command as a batch of its own."""
        before = dict(self._ids)
        ids: NewIds = {kind: partial(self._new_id, kind) for kind in self._ids}
        deciding = batch.DecidedBatch(self._state, ids, timedelta(days=1))
        with patch.object(batch, "new_event_id", self._new_event_id):
            response = deciding.decide(submission, Time.of(self._now))
        self._writes = deciding.writes
        self._writes.stamp(self._now)
        self._state.head = self._writes.head
        if not self._writes.events:
            self._ids = before
        return response

    def _new_id(self, kind: str) -> int:
        self._ids[kind] += 1
        return self._ids[kind] - 1

    def _new_event_id(self) -> UUID:
        self._made += 1
        return UUID(bytes=hashlib.sha256(b"event %d" % self._made).digest()[:16], version=4)

    def send(self, request: Json) -> tuple[Json, list[Json]]:
        """Send one line of requests.jsonl; return the forms of the command and of its events."""
        self._now = datetime.fromisoformat(request["at"])
        self._ids.update(request.get("ids", {}))
        self._writes = None
        response = self._respond(request)
        forms: Json = {
            "status": response.status,
            "headers": list(response.headers),
            "body": response.body.decode(),
        }
        if self._writes is None:
            return forms, []
        forms |= rows_of(self._writes)
        return forms, [self._event_forms(event) for event in self._chained(self._writes)]

    def _respond(self, request: Json) -> Response:
        for route in self._routes:
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>\\d+)", route.path)
            found = re.fullmatch(pattern, request["path"])
            if found is None or route.method != request["method"]:
                continue
            ids = {name: int(number) for name, number in found.groupdict().items()}
            caller = Caller(request.get("caller", ""), request.get("role", "write"))
            sent = Request(
                request["method"],
                request["path"],
                ids,
                {},
                {"content-type": "application/json", **request.get("headers", {})},
                request.get("body", "").encode("utf-8"),
                caller,
                request["correlationId"],
                request.get("traceparent"),
            )
            try:
                return cast(Response, asyncio.run(cast(Any, route.handler(sent))))
            except Refusal as refusal:
                return render(refusal, sent.path, sent.correlation_id)
        raise AssertionError(f"no route for {request}")

    def _chained(self, writes: batch.Writes) -> Iterator[tuple[ChainedEvent, bytes]]:
        previous = writes.base.hash if writes.base.position else GENESIS_HASH
        for event, payload_hash in zip(writes.events, writes.payload_hashes, strict=True):
            values = [getattr(event, name) for name in Envelope.__slots__]
            chained = ChainedEvent(*values)
            chained.previous_hash = previous
            yield chained, payload_hash
            previous = event.hash

    def _event_forms(self, logged: tuple[ChainedEvent, bytes]) -> Json:
        """Return what becomes of an event: in the log, on Kafka, in MongoDB, for followers."""
        event, payload_hash = logged
        row = dict(zip(EVENT.split(), store._event_row(event, payload_hash), strict=True))
        places = {"position": event.position, "recorded_at": event.recorded_at}
        kind, lane = event.event_type, self._lane_of(event)
        headers = record_headers(event, event.aggregate, self._lanes[lane])
        self._lanes[lane] = event.position
        value = kafka_value(kind, event.payload)
        shown = event_body(event)
        assert shown.endswith(b',"payload":' + event.payload + b"}")
        change = change_of(make_record(kind, lane, 0, event.aggregate, value, headers), kind)
        forms = {
            "payload": row.pop("payload"),
            "log": {name: plain(part) for name, part in (places | row).items()},
            "record": {
                "partition": lane,
                "value": value.decode(),
                "headers": {
                    name: text.decode() for name, text in headers if isinstance(text, bytes)
                },
            },
            "event": shown[: -len(event.payload) - len(b',"payload":}')].decode(),
            **self._folded(change),
        }
        self._shown[kind] += 1
        if self._shown[kind] > WHOLE_EVENTS:
            forms |= {name: digest_of(forms[name]) for name in FOLLOWING}
        return forms

    @staticmethod
    def _lane_of(event: Envelope) -> int:
        return lane_of_event(event.aggregate_type, event.aggregate, event.payload, LANES)

    def _folded(self, change: Change) -> Json:
        forms, writes, fact = fold(change)
        for write in writes:
            document = self.documents.setdefault((write.collection, write.document_id), {})
            document |= kept(write, change)
            words, event = write.fields.get("words"), change.event
            is_named = words is not None and not change.kind.ends
            if is_named and isinstance(event, Customer | Product):
                self.words[event.name] = words or []
            if write.entries:
                self.entries.setdefault(change.aggregate, []).extend(write.entries)
        if fact is not None:
            self.facts.append(fact)
        return forms

    def document_forms(self, wanted: str) -> Iterator[Json]:
        """Yield the documents at the end, with the bodies that the Query Service makes of them."""
        for (collection, number), document in sorted(self.documents.items()):
            if collection != wanted:
                continue
            (shown,), digest = bson_forms([document])
            forms = {"collection": collection, "id": number, "bson": digest, "document": shown}
            if collection in BODIES:
                forms["body"] = BODIES[collection](document)
                del forms["document"]
            yield forms

    def history_forms(self) -> Iterator[Json]:
        """Yield each customer's and product's history: its buckets, and what set each field."""
        for name, entries in sorted(self.entries.items()):
            fields = histories.shown_fields(name)
            state = histories.EntityState({}, {})
            changed = [histories.apply(state, entry, fields) for entry in entries]
            _, digest = bson_forms(histories.split({"entries": []}, entries, fields))
            yield {
                "of": name,
                "buckets": digest,
                "changed": changed,
                "state": histories.encode_state(state).decode(),
            }

    def ledger_forms(self) -> Iterator[Json]:
        """Yield the nodes over the order events, as if each sixteen filled a leaf."""
        starts = range(0, len(self.facts) - 15, 16)
        nodes = [leaf_node(0, at // 16, self.facts[at : at + 16]) for at in starts]
        nodes += [
            parent_node(0, 1, at, nodes[4 * at : 4 * at + 4]) for at in range(len(nodes) // 4)
        ]
        for node in nodes:
            (shown,), digest = bson_forms([stored(node)])
            yield {"bson": digest, "node": shown}


def rows_of(writes: batch.Writes) -> Json:
    """Return the rows that one call of `append_batch` writes, by table and column."""
    given = store._arguments(writes)[4:]
    assert len(given) == len(ROWS), "ROWS has new and changed rows of each of ENTITIES, in order"
    tables: Json = {}
    for (table, columns), rows in zip(ROWS.items(), given, strict=True):
        if rows:
            names = columns.split()
            assert len(names) == len(rows[0]), f"ROWS names other columns of {table}: {columns}"
            tables[table] = [dict(zip(names, plain(list(row)), strict=True)) for row in rows]
    return tables
