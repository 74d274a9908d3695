"""Examples for the OpenAPI documents, made from the schemas: no second list to keep in step.

Next: web/openapi.py
"""

from collections.abc import Mapping
from typing import Any

_BY_FORMAT: Mapping[str, str] = {
    "date": "2026-01-02",
    "date-time": "2026-01-02T03:04:05.678Z",
    "uuid": "0b0e6d3e-5a54-4c0a-9d3f-6a1b2c3d4e5f",
}
_BY_TYPE: Mapping[str, Any] = {"integer": 1, "number": 1, "string": "text", "boolean": True}


def example_of(schema: Mapping[str, Any], components: Mapping[str, Any]) -> Any:
    """Return a value that the schema allows: its own example, else one made of its parts'."""
    if "$ref" in schema:
        return example_of(components[schema["$ref"].rpartition("/")[2]], components)
    for name in ("examples", "enum"):
        if name in schema:
            return schema[name][0]
    if "const" in schema:
        return schema["const"]
    for name in ("oneOf", "anyOf"):
        if name in schema:
            return example_of(schema[name][0], components)
    if schema.get("format") in _BY_FORMAT:
        return _BY_FORMAT[schema["format"]]
    kind = schema.get("type")
    if kind == "object":
        parts = schema.get("properties", {})
        return {name: example_of(part, components) for name, part in parts.items()}
    if kind == "array":
        return [example_of(schema["items"], components)]
    if isinstance(kind, list):
        return None if "null" in kind else _BY_TYPE[kind[0]]
    return schema.get("minimum") or _BY_TYPE[str(kind)]
