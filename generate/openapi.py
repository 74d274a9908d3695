"""The OpenAPI documents of both services, without starting either."""

from typing import Any, cast

from storelog.command_service import routes as command_routes
from storelog.command_service.keys import KeysApi
from storelog.command_service.schemas import SCHEMAS as COMMAND_SCHEMAS
from storelog.config import Settings
from storelog.query_service.http import routes as query_routes
from storelog.query_service.http.schemas import SCHEMAS as QUERY_SCHEMAS
from storelog.upkeep.dead_letter_api import SCHEMAS as LETTER_SCHEMAS
from storelog.upkeep.dead_letter_api import dead_letter_routes
from storelog.web.about import ABOUT_SCHEMAS, with_about
from storelog.web.http import Route
from storelog.web.openapi import document

_NO_SERVER: Any = cast(Any, None)


def documents() -> dict[str, dict[str, Any]]:
    """Return `command`, `query` and `projector`: the documents as the processes give them."""
    command = command_routes.routes(_NO_SERVER, _NO_SERVER, KeysApi(_NO_SERVER, ()), None)
    query = query_routes.routes(_NO_SERVER, _NO_SERVER)
    letters = dead_letter_routes(Settings())
    return {
        "command": _document("storelog command-service", command, COMMAND_SCHEMAS),
        "query": _document("storelog query-service", query, QUERY_SCHEMAS),
        "projector": _document("storelog projector", letters, LETTER_SCHEMAS),
    }


def _document(name: str, routes: list[Route], schemas: dict[str, Any]) -> dict[str, Any]:
    table = with_about(name, routes, Settings(), _NO_SERVER, _NO_SERVER, schemas)
    # The pages of the problems stand beside the document, not in it.
    table = [route for route in table if not route.path.startswith("/problems/")]
    return document(name, table, {**ABOUT_SCHEMAS, **schemas})


def inlined(schema: Any, components: dict[str, Any]) -> Any:
    """Return a schema with every `$ref` to the components put in its place."""
    if isinstance(schema, list):
        return [inlined(part, components) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return inlined(components[schema["$ref"].rpartition("/")[2]], components)
    return {name: inlined(part, components) for name, part in schema.items()}
