"""The OpenAPI 3.1 document of a service, made from its table of routes, and a page to read it.

The document has nothing that the table lacks: there is no second list of endpoints.
Next: command_service/api.py
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files
from typing import Any

from storelog import __version__
from storelog.web.examples import example_of
from storelog.web.http import Route
from storelog.web.problem_responses import CORRELATION, problem_responses

_ID = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}


def _shown(example: str, **limits: Any) -> dict[str, Any]:
    return {"type": "string", **limits, "examples": [example]}


_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "correlationId"],
    "properties": {
        "type": _shown("/problems/stale-version", pattern="^/problems/[a-z-]+$"),
        "title": _shown("The version is not the current one"),
        "status": {"type": "integer", "examples": [412]},
        "detail": _shown("The current version is 3."),
        "instance": _shown("/products/5"),
        "correlationId": _shown("6f1c2a5e9b5e4c0f8d1f3a7b2c4d6e8f"),
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
            "examples": [[]],
        },
    },
}
_TAG = '(W/)?"[!#-~]*"'
HEADERS: dict[str, dict[str, Any]] = {
    "ETag": {"schema": {"type": "string"}, "description": "The version, or a hash, quoted."},
    "Location": {
        "schema": {"type": "string", "format": "uri-reference"},
        "description": "Where the Query Service has the new entity (relative: to its address).",
    },
    "Storelog-Position": {
        "schema": {"type": "string", "pattern": r"^\d+$"},
        "description": "The response contains everything up to this position in the log.",
    },
    "Storelog-History": {
        "schema": {"type": "string", "format": "uuid"},
        "description": "The history of the log that the position belongs to.",
    },
    "Storelog-Dead-Letters": {
        "schema": {"type": "string", "pattern": r"^\d+$"},
        "description": "How many events could not be projected, when there are any.",
    },
    "Idempotency-Replayed": {
        "schema": {"const": "true"},
        "description": "The first response again.",
    },
    "Idempotency-Key": {
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$", "examples": ["till-1/4711"]},
        "description": "The same key with the same request has one effect and one response.",
    },
    "Storelog-Wait-For": {
        "schema": {"type": "string", "pattern": "^[0-9]{1,18}$", "examples": ["42"]},
        "description": "Respond only once the read model holds everything up to this position.",
    },
    "Prefer": {
        "schema": {"type": "string", "examples": ["wait=5"]},
        "description": "`wait=5`: how many seconds to wait for it; 2 unless told, at most 30.",
    },
    "Last-Event-ID": {
        "schema": {"type": "string", "pattern": r"^\d{1,19}$"},
        "description": "The id of the last event received: the stream goes on after it.",
    },
    "If-None-Match": {
        "schema": {"type": "string", "pattern": f"^([*]|{_TAG}(, {_TAG})*)$", "examples": ['"3"']},
        "description": "If one of these tags is current, a GET is 304 and a command 412.",
    },
    "If-Match": {
        "schema": {
            "type": "string",
            "pattern": f"^([*]|{_TAG}(, {_TAG})*)$",
            "examples": ['"3"'],
        },
        "description": "Do it only if one of these tags is of the current version.",
    },
}


_NOT_MODIFIED = {
    "description": "The client's copy is current.",
    "headers": {**CORRELATION, "ETag": HEADERS["ETag"]},
}
# The page shows the document as text, and loads nothing from other hosts.
DOCS_PAGE = files("storelog.web").joinpath("docs.html").read_bytes()
_SCRIPTS = " ".join(
    f"'sha256-{b64encode(sha256(script).digest()).decode()}'"
    for script in re.findall(rb"<script>(.*?)</script>", DOCS_PAGE, re.DOTALL)
)
# Sent with every response: data runs no scripts, and no other page may frame it.
DOCS_POLICY = (
    f"default-src 'none'; connect-src 'self'; script-src {_SCRIPTS}; style-src 'unsafe-inline';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def document(name: str, routes: Iterable[Route], schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Return the service's OpenAPI document; `schemas` are its named components."""
    components = {"Problem": _PROBLEM, **schemas}
    named = {
        name: {**schema, "examples": [example_of(schema, components)]}
        for name, schema in components.items()
    }
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": named,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
    }


def _operation(route: Route) -> dict[str, Any]:
    operation = route.operation
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": _ID}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    parameters += [
        {"name": name, "in": "query", "schema": schema} for name, schema in operation.query.items()
    ]
    parameters += [
        {"name": name, "in": "header", **HEADERS[name]}
        for name in (*operation.request_headers, *(["If-None-Match"] if route.has_tag else []))
    ]
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": _operation_id(route),
        "parameters": parameters,
        "responses": {
            str(operation.success): _success(route),
            **({"304": _NOT_MODIFIED} if route.has_tag else {}),
            **problem_responses(route),
        },
        "x-role": route.role,
    }
    if route.role == "public":
        described["security"] = []
    if operation.request is not None:
        content = {"application/json": {"schema": _ref(operation.request)}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _operation_id(route: Route) -> str:
    words = [part.strip("{}") for part in re.split("[/-]", route.path) if part]
    return (
        route.method.lower()
        + ("About" if not words else "")
        + "".join(word[:1].upper() + word[1:] for word in words)
    )


def _success(route: Route) -> dict[str, Any]:
    operation = route.operation
    response: dict[str, Any] = {
        "description": HTTPStatus(operation.success).phrase,
        "headers": {**CORRELATION, **{name: HEADERS[name] for name in operation.headers}},
    }
    if operation.response is not None:
        response["content"] = {operation.content_type: {"schema": _ref(operation.response)}}
    elif operation.success != 204:
        response["content"] = {operation.content_type: {"schema": {"type": "string"}}}
    return response


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
