"""What the routes of the read models share: parameters, headers, schemas of pages.

Next: query_service/http/entities.py
"""

from collections.abc import Sequence
from typing import Any

from storelog.query_service.positions.asof import AS_OF
from storelog.read_models.listed import ReadModel
from storelog.shop.value_schemas import COUNT, TEXT_OR_NULL, strict_object
from storelog.web.http import Handler, Operation, Route

FRESH = ("Storelog-Position", "Storelog-History", "Storelog-Dead-Letters")
# New headers come last: generated clients pass optional ones by position.
_ASKED = ("Storelog-Wait-For", "Prefer", "Storelog-History")
QuerySchema = dict[str, dict[str, Any]]
MONEY: dict[str, Any] = {"type": "string", "pattern": r"^\d+\.\d{2,}$", "examples": ["4.25"]}
FLAG: dict[str, Any] = {"type": "boolean"}
ANN_OR_NULL: dict[str, Any] = {**TEXT_OR_NULL, "examples": ["Ann Miller"]}


def page_schema(name: str) -> dict[str, Any]:
    """Return the schema of a page of items, each of the schema of this name."""
    items = {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}
    page = strict_object(items=items, nextCursor=TEXT_OR_NULL)
    page["properties"] |= {"count": COUNT, "countIsExact": FLAG}
    return page


def one(path: str, handler: Handler, schema: str) -> Route:
    """Return the route of one entity by its id."""
    operation = Operation(
        f"One {schema.lower()}",
        200,
        None,
        schema,
        AS_OF,
        errors=(409,),
        headers=("ETag", *FRESH),
        request_headers=_ASKED,
    )
    return Route("GET", path, "read", handler, operation)


def many(
    path: str,
    handler: Handler,
    schema: str,
    query: QuerySchema,
    models: Sequence[ReadModel] = (),
) -> Route:
    """Return the route of a list; it takes `asOf` if all `models` know their past."""
    if all(model.as_was is not None for model in models):
        query = {**query, **AS_OF}
    return of_the_present(path, handler, schema, query)


def of_the_present(path: str, handler: Handler, schema: str, query: QuerySchema) -> Route:
    """Return the route of a list that shows the present only."""
    words = path.rpartition("/")[2].replace("-", " ")
    if path.startswith("/history/"):
        words = f"history of one {path.split('/')[2].removesuffix('s')}"
    operation = Operation(words.capitalize(), 200, None, schema, query, (409,), FRESH, _ASKED)
    return Route("GET", path, "read", handler, operation)
