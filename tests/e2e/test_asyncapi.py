"""The AsyncAPI document is one, as the schema of AsyncAPI's own package says."""

import json
from typing import Any

import jsonschema
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from generate import events
from support.tools import installed

DOCUMENT = events.asyncapi()


def test_the_document_is_asyncapi_3() -> None:
    path = installed() / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"
    schema = json.loads(path.read_text("utf-8"))
    registry: Registry[Any] = Registry()
    for identifier, definition in schema["definitions"].items():
        resource = Resource.from_contents(definition, default_specification=DRAFT7)
        registry = registry.with_resource(identifier, resource)
    validator = jsonschema.Draft7Validator(schema, registry=registry)
    assert [error.message for error in validator.iter_errors(DOCUMENT)] == []
    broken = {**DOCUMENT, "operations": {"x": {"action": "shout"}}}
    assert not validator.is_valid(broken)
