"""What is made from the code is as the code is now, and leaves out nothing of it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from generate.__main__ import ROOT, files
from generate.openapi import documents, inlined
from generate.postman import PLAIN, operation
from generate.steps import Step
from generate.story import STORY

FILES = files()
# A stream has no end that a collection could wait for.
NOT_IN_POSTMAN = {("query", "GET", "/live")}


def steps() -> Iterator[Step]:
    for folder in STORY:
        yield from folder.steps


@pytest.mark.parametrize("name", FILES)
def test_a_generated_file_is_current(name: str) -> None:
    assert (ROOT / name).read_text("utf-8") == FILES[name], "run `make generate`"


def test_the_collection_has_every_operation_of_both_services() -> None:
    told = {(step.service, step.method, re.sub(r"\{\w+\}", "{}", step.path)) for step in steps()}
    written = {
        (service, method.upper(), re.sub(r"\{\w+\}", "{}", path))
        for service, document in documents().items()
        for path, methods in document["paths"].items()
        for method in methods
    }
    written |= {(service, "GET", path) for service in documents() for path in PLAIN}
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


def test_there_is_nothing_generated_that_nobody_makes_any_more() -> None:
    made = {Path(name).name for name in FILES if name.startswith("postman/")}
    assert {path.name for path in (ROOT / "postman").glob("*.postman_*")} == made
