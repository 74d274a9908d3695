"""A copy of the package that a test changes, as another release: processes run it by PYTHONPATH."""

import shutil
import signal
from pathlib import Path

import storelog
from storelog.local.servers import PROCESSES
from support.system import System

NAME = "product_orders"
LIST = "READ_MODELS = (\n"
MODEL = '''"""How much of each product was ordered, deleted orders not counted."""

from bson.int64 import Int64

from storelog.read_models.change import Change
from storelog.read_models.read_model import DocumentModel, Write
from storelog.read_models.totals import Added, Sum, TotalsModel
from storelog.shop.money import line_amount


def fold(change: Change) -> list[Added]:
    """Return what the change adds: of an order each line, of a deleted one the same below 0."""
    sign = change.kind.ledger
    if sign is None:
        return []
    return [
        Added(
            line.product_id,
            {
                "lines": sign,
                "units": sign * line.quantity,
                "amount": sign * line_amount(line.quantity, line.price),
            },
        )
        for line in change.event.order_items
    ]


def note(change: Change) -> list[Write]:
    """Return the document of an order: how many lines it has, and since when it is deleted."""
    if change.kind.ledger is None:
        return []
    fields = {
        "lines": len(change.event.order_items),
        "deleted": change.kind.ends,
        "position": Int64(change.position),
    }
    number, is_new = Int64(change.event.order_id), change.kind.begins
    return [Write("order_notes", number, fields, change.position, is_new=is_new, is_whole=True)]


SUMS = (
    Sum("lines", "count", since=1, before=None),
    Sum("amount", "amount", since=1, before=None),
)
MODELS = (
    TotalsModel(collection="product_orders", shape=1, keys=int, sums=SUMS, fold=fold),
    DocumentModel(
        collection="order_notes",
        shape=1,
        indexes=([("lines", 1)],),
        schema=None,
        newer={},
        fold=note,
        as_was=None,
    ),
)
'''
QUERY = '''"""GET /analytics/product-orders"""

from typing import Any

from storelog.query_service.http.responses import respond
from storelog.query_service.positions.freshness import open_view
from storelog.query_service.http.route_parts import COUNT, many, page_schema
from storelog.query_service.http.parameters import PAGE
from storelog.query_service.positions.reads import Reads, reading_mongodb
from storelog.query_service.totals.sums_by_key import list_totals, totals_schema
from storelog.read_models.product_orders.model import MODELS
from storelog.shop.value_schemas import ID, strict_object
from storelog.web.http import Request, Response, Route

MODEL, NOTES = MODELS
SCHEMAS: dict[str, Any] = {
    "ProductOrders": totals_schema(MODEL, "productId", ID),
    "ProductsOrders": page_schema("ProductOrders"),
    "Note": strict_object(lines=COUNT, units=COUNT),
}


def routes(reads: Reads) -> list[Route]:
    """Return the route, its handler around one reader of MongoDB."""
    handler = list_totals(reads, MODEL, "productId")

    async def get_note(request: Request) -> Response:
        async with reading_mongodb():
            view = await open_view(reads, request)
            found = await view.one(NOTES.collection, request.ids["orderId"])
        return respond(view, {name: (found or {}).get(name) for name in ("lines", "units")})

    return [
        many("/analytics/product-orders", handler, "ProductsOrders", PAGE, MODELS),
        many("/notes/{orderId}", get_note, "Note", {}, (NOTES,)),
    ]
'''
SECOND_SHAPE = (
    ("shape=1, keys", "shape=2, keys"),
    ("shape=1,\n", "shape=2,\n"),
    ("newer={}", 'newer={"units": 0}'),
    ("SUMS = (\n", 'SUMS = (\n    Sum("units", "count", since=2, before=None),\n'),
)


class OtherRelease:
    """A copy of the package in a folder, which has one more read model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._package = folder / "storelog"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(storelog.__file__).parent, self._package, ignore=ignored)

    def add_read_model(self) -> None:
        """Add the folder of a read model, and its line of the list."""
        folder = self._package / "read_models" / NAME
        folder.mkdir()
        (folder / "__init__.py").write_text("", "utf-8")
        (folder / "model.py").write_text(MODEL, "utf-8")
        (folder / "query.py").write_text(QUERY, "utf-8")
        self.change("read_models/__init__.py", (LIST, f'{LIST}    "{NAME}",\n'))

    def change(self, name: str, *parts: tuple[str, str]) -> None:
        """Replace parts of a file, each of which must be there."""
        path = self._package / name
        text = path.read_text("utf-8")
        for part, other in parts:
            assert part in text, part
            text = text.replace(part, other)
        path.write_text(text, "utf-8")

    def start(self, system: System) -> None:
        """Let the system go on with this release."""
        go_on_with(self.folder, system)


def go_on_with(folder: Path, system: System) -> None:
    """Let a system go on with the package in a folder, after that package's `migrate`."""
    for name in PROCESSES:
        system.signal(name, signal.SIGTERM)
        system.exit_code(name)
    system.environment_more["PYTHONPATH"] = str(folder)
    done = system.cli("migrate")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in PROCESSES:
        system.start(name)
    for name in PROCESSES:
        system.wait_ready(name)
