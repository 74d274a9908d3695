"""What is made from the code is as the code is now, and leaves out nothing of it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from generate import events
from generate.__main__ import ROOT, files
from generate.openapi import documents, inlined
from generate.postman import PLAIN, operation
from generate.steps import Step
from generate.story import STORY
from storelog.shop.events import KINDS

FILES = files()
# Clients know no address of the projector: its dead letters are not in the collection.
SERVICES = ("command", "query")
# A stream has no end that a collection could wait for.
NOT_IN_POSTMAN = {("query", "GET", "/live")}


def validate(value: Any, schema: Any) -> None:
    checker = jsonschema.FormatChecker()
    jsonschema.Draft202012Validator(schema, format_checker=checker).validate(value)


def steps() -> Iterator[Step]:
    for folder in STORY:
        yield from folder.steps


@pytest.mark.parametrize("name", FILES)
def test_a_generated_file_is_current(name: str) -> None:
    assert (ROOT / name).read_text("utf-8") == FILES[name], "run `make generate`"


def test_no_file_is_left_of_a_schema_that_is_no_longer_made() -> None:
    found = {str(path.relative_to(ROOT)) for path in (ROOT / "docs" / "schemas").iterdir()}
    assert not found - FILES.keys()


def test_the_collection_has_every_operation_of_both_services() -> None:
    told = {(step.service, step.method, re.sub(r"\{\w+\}", "{}", step.path)) for step in steps()}
    written = {
        (service, method.upper(), re.sub(r"\{\w+\}", "{}", path))
        for service, document in documents().items()
        if service in SERVICES
        for path, methods in document["paths"].items()
        for method in methods
    }
    written |= {(service, "GET", path) for service in SERVICES for path in PLAIN}
    assert written - told == NOT_IN_POSTMAN & written, "tell it in generate/story.py"


@pytest.mark.parametrize("step", [s for s in steps() if s.body], ids=lambda step: step.name)
def test_a_body_of_the_collection_is_what_the_document_asks_for(step: Step) -> None:
    components = documents()[step.service]["components"]["schemas"]
    described: Any = operation(step)
    content = described["requestBody"]["content"]["application/json"]["schema"]
    body = json.loads(re.sub(r'"\{\{\w+\}\}"', "1", json.dumps(step.body)))
    is_allowed = jsonschema.Draft202012Validator(inlined(content, components)).is_valid(body)
    assert is_allowed == (step.problem != "invalid-fields")


def test_parameters_and_headers_of_the_collection_are_in_the_document() -> None:
    for step in steps():
        described = operation(step)
        named = {p["name"] for p in described["parameters"]} if described else set()
        assert step.query.keys() | step.headers.keys() <= named, step.name


def test_every_schema_of_the_documents_has_an_example_that_it_allows() -> None:
    for document in documents().values():
        components = document["components"]["schemas"]
        for schema in components.values():
            validate(schema["examples"][0], inlined(schema, components))


@pytest.mark.parametrize("name", events.schemas())
def test_every_example_of_an_event_is_one(name: str) -> None:
    schema = events.schemas()[name]
    jsonschema.Draft202012Validator.check_schema(schema)
    for example in schema["examples"]:
        validate(example, schema)


def test_every_version_of_every_event_has_a_schema() -> None:
    versions = {(kind.name, v + 1) for kind in KINDS.values() for v in range(kind.version)}
    assert set(events.PAYLOADS) == versions


def test_every_generated_file_is_still_generated() -> None:
    found = [*(ROOT / "postman").iterdir(), *(ROOT / "docs" / "schemas").iterdir()]
    assert {str(path.relative_to(ROOT)) for path in found} <= FILES.keys()
