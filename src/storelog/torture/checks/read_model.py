"""Compares MongoDB with the log: by `storelog verify`, and in the state after a kill.

`check_checkpoints` is for projectors that were just killed: documents must include everything up to
their lane's checkpoint.
Next: torture/torture.py
"""

import asyncio
import http.client
import json
from collections import defaultdict
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from urllib.parse import urlsplit

from pymongo.errors import PyMongoError

from storelog.config import Settings
from storelog.envelope import Envelope
from storelog.errors import CannotRun
from storelog.event_codec import lane_of_event
from storelog.projector.checkpoints import CHECKPOINTS
from storelog.projector.databases.connection import PATIENT_SECONDS, connect, pointer_of, sibling
from storelog.torture.checks.event_log import CENT, History
from storelog.torture.report import TortureReport
from storelog.verify.verify import verify

_COLLECTIONS = {"customer": "customers", "product": "products", "order": "orders"}


def check_documents(settings: Settings, report: TortureReport) -> None:
    """Compare every document, row and total with the log. Raises CannotRun."""
    found = asyncio.run(verify(settings, lambda *_: None))
    for where, number in found.checked.items():
        report.count(f"verify {where}", number)
    for difference in found.differences:
        report.breach(f"verify: {json.dumps(difference, default=str)}")


def check_checkpoints(settings: Settings, log: Sequence[Envelope], report: TortureReport) -> None:
    """Note a breach where a checkpoint of the active read model is ahead of its documents.

    Raises CannotRun.
    """
    home = connect(settings, look_seconds=PATIENT_SECONDS)
    try:
        database = sibling(home, pointer_of(home).database)
        # Checkpoints are read first: documents only get newer meanwhile.
        known = list(database[CHECKPOINTS].find({}, {"position": 1, "lanes": 1}))
        places = {int(place["_id"]): int(place["position"]) for place in known}
        count = max((int(place["lanes"]) for place in known), default=0)
        if not count:
            report.breach(f"the read model {database.name} has no checkpoints")
            return
        # The last event of each aggregate at or below its lane's checkpoint.
        due: dict[str, dict[int, int]] = defaultdict(dict)
        for event in log:
            lane = lane_of_event(event.aggregate_type, event.aggregate, event.payload, count)
            if event.position <= places.get(lane, 0):
                due[event.aggregate_type][event.aggregate_id] = event.position
        for kind, positions in due.items():
            found = database[_COLLECTIONS[kind]].find({}, {"position": 1})
            at = {int(document["_id"]): int(document["position"]) for document in found}
            report.count("checkpoints against documents", len(positions))
            for number, position in positions.items():
                if at.get(number, 0) < position:
                    report.breach(
                        f"a checkpoint is ahead of {kind} {number}: the document is at"
                        f" {at.get(number, 0)}, its event at {position} counts as projected"
                    )
    except PyMongoError as error:
        raise CannotRun(f"MongoDB: {error}") from error
    finally:
        home.client.close()


def check_sales(query_url: str, history: History, report: TortureReport) -> None:
    """Note a breach unless the total sales are the sum of the lines of all orders not deleted."""
    totals = _get(query_url, "/analytics/total-sales")
    rounded = history.sales.quantize(CENT, ROUND_HALF_EVEN)
    said = Decimal(totals["totalSales"])
    if said not in (history.sales, rounded) or totals["orders"] != history.orders:
        report.breach(
            f"total sales are {said} of {totals['orders']} orders, the log has {history.sales}"
            f" of {history.orders}"
        )


def _get(url: str, path: str) -> dict[str, Any]:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    try:
        connection.request("GET", path)
        body: dict[str, Any] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return body
