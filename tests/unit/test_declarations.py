"""A declaration that leaves something open, or contradicts itself, is an error when it is read."""

from dataclasses import replace
from typing import Annotated

import pytest
from msgspec import UNSET, Struct, UnsetType

from storelog.command_service import requests
from storelog.shop.event_kinds import EventKind, check
from storelog.shop.events import KINDS
from storelog.shop.json_schema import request_schema, response_schema
from storelog.shop.kinds import (
    Choice,
    Computed,
    Example,
    Id,
    Lines,
    Name,
    OnlyWith,
    Since,
    Text,
    Upcast,
    YesNo,
)
from storelog.shop.product import Product


class WithoutKind(Struct, frozen=True):
    name: str


class WithTwoKinds(Struct, frozen=True):
    name: Annotated[str, Text(1, 2), Choice(("a",))]


class WithoutExample(Struct, frozen=True):
    name: Annotated[str, Text(1, 2)]


class SaysWhatIsComputed(Struct, frozen=True):
    is_new: Computed[YesNo]


class WithUnknownText(Struct, frozen=True):
    why: Annotated[str, Choice(("Fell",))]
    note: Annotated[Name, OnlyWith("Sold")] | UnsetType = UNSET


class WithoutAbsence(Struct, frozen=True):
    why: Annotated[str, Choice(("Fell",))]
    note: Annotated[Name, OnlyWith("Fell")]


@pytest.mark.parametrize(
    ("structure", "words"),
    [
        (WithoutKind, "WithoutKind.name has 0 kinds, not one"),
        (WithTwoKinds, "WithTwoKinds.name has 2 kinds, not one"),
        (WithoutExample, "name has no Example"),
        (WithUnknownText, "WithUnknownText.note is not UNSET without a text of one choice"),
        (WithoutAbsence, "WithoutAbsence.note is not UNSET without a text of one choice"),
    ],
)
def test_a_field_that_is_not_wholly_declared_is_an_error(
    structure: type[Struct], words: str
) -> None:
    with pytest.raises(TypeError, match=words):
        response_schema(structure)


def test_no_request_says_what_is_computed() -> None:
    for derive in (request_schema, lambda structure: requests.read(structure, {})):
        with pytest.raises(TypeError, match="no client may set what is computed"):
            derive(SaysWhatIsComputed)


class WithoutUpcaster(Product, frozen=True, rename="camel"):
    note: Annotated[Name, Example("ouch"), Upcast(before=2)] | UnsetType | None = UNSET


class NewerLine(Struct, frozen=True, rename="camel"):
    item_id: Id
    sku: Annotated[Name | None, Since(version=2, before=None)] = None


class WithNewerLines(Product, frozen=True, rename="camel"):
    parts: Annotated[tuple[NewerLine, ...], Lines(1)] = ()


def kind(payload: type[Struct]) -> EventKind:
    return replace(KINDS["ProductCreated"], payload=payload)


def test_an_event_whose_past_is_not_declared_is_an_error() -> None:
    with pytest.raises(TypeError, match="has an upcast member without its upcaster"):
        check(kind(WithoutUpcaster))
    with pytest.raises(TypeError, match="has lines with a newer field"):
        check(kind(WithNewerLines))
