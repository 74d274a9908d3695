"""The kinds of values that a field may have, each with its limits, and the marks of a field.

A field is declared once, as in `price: Price` (shop/product.py). Each room reads the declaration
(shop/fields.py) and derives from it what the room needs: what a request may say, a body, a column,
a document. No kind knows how any room writes it.
Next: shop/customer.py
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from msgspec import Meta

T = TypeVar("T")

MAX_ID = 2**63 - 1
MAX_STOCK = 2_147_483_647
MAX_QUANTITY = 1_000_000
MAX_PRICE = Decimal(9_999_999_999)
MAX_LINES = 2_000
EARLIEST_ORDER_DATE = datetime(1900, 1, 1, tzinfo=UTC)
LATEST_ORDER_DATE = datetime(2999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)


class Money(Decimal):
    """An exact amount in the shop's currency; arithmetic on it gives plain decimals."""

    __slots__ = ()


class Time(datetime):
    """A point in time in UTC, cut off to milliseconds."""

    __slots__ = ()

    @classmethod
    def of(cls, at: datetime) -> "Time":
        """Return a time in UTC, cut off to milliseconds; one without a zone is in UTC."""
        if at.tzinfo not in (None, UTC):
            at = at.astimezone(UTC)
        date = (at.year, at.month, at.day)
        return cls(*date, at.hour, at.minute, at.second, at.microsecond // 1000 * 1000, UTC)


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `lowest` to `highest`; `is_id`: one that names something."""

    lowest: int
    highest: int
    is_id: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A text of `shortest` to `longest` characters (code points)."""

    shortest: int
    longest: int


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """An e-mail address: one @ with something before and after it."""

    shortest: int = 3
    longest: int = 254


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A phone number: digits after one + or none, once it is cleaned of what is between them.

    It has at most `longest` characters, and `typed` ones before it is cleaned.
    """

    longest: int = 15
    typed: int = 1_000


@dataclass(frozen=True, slots=True)
class Amount:
    """Money from 0 to `highest`, given with at most `places`; stored with at most `stored`.

    As a text it is given with at most `written` characters.
    """

    highest: Decimal = MAX_PRICE
    places: int = 4
    stored: int = 8
    written: int = 40


@dataclass(frozen=True, slots=True)
class Instant:
    """A point in time; a client's is from `earliest` to `latest`."""

    earliest: datetime = EARLIEST_ORDER_DATE
    latest: datetime = LATEST_ORDER_DATE


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""


@dataclass(frozen=True, slots=True)
class Lines:
    """An array of `fewest` to `most` objects, each a declared structure."""

    fewest: int
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some texts; with each there may be fields that are there only with it."""

    texts: tuple[str, ...]


Kind = Whole | Text | EmailAddress | PhoneNumber | Amount | Instant | Flag | Lines | Choice


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that is said of a field beside its kind; see the subclasses."""


@dataclass(frozen=True, slots=True)
class IsComputed(Mark):
    """The value follows from other fields: no client may set it."""


@dataclass(frozen=True, slots=True)
class IsPersonal(Mark):
    """The value is about a person."""


@dataclass(frozen=True, slots=True)
class ImportOnly(Mark):
    """Only a key of the role `import` may set it."""

    description: str


@dataclass(frozen=True, slots=True)
class Reference(Mark):
    """The id is that of a document in another collection; documents hold a DBRef as well."""

    collection: str


@dataclass(frozen=True, slots=True)
class Searched(Mark):
    """An entity is found by the words of the value."""


@dataclass(frozen=True, slots=True)
class Unique(Mark):
    """No two entities that are not deleted have the same value; else a 409 of this slug."""

    slug: str


@dataclass(frozen=True, slots=True)
class Since(Mark):
    """The field came with this schema version; `before`: its value until then, as JSON has it."""

    version: int
    before: Any


@dataclass(frozen=True, slots=True)
class Upcast(Mark):
    """Payloads of schema versions `before` this one get the member by the event's upcaster.

    Only there it may be null: none is written.
    """

    before: int


@dataclass(frozen=True, slots=True)
class OnlyWith(Mark):
    """The field is there with this text of the structure's choice, and only then."""

    text: str


@dataclass(frozen=True, slots=True)
class Example(Mark):
    """What schemas show as an example; the outermost one counts."""

    value: Any


Computed = Annotated[T, IsComputed()]
Personal = Annotated[T, IsPersonal()]

# What MongoDB can hold, and sums of it. Payloads are checked against this much only, since logs of
# any release are read; the limits of a kind are what a request is checked against.
_STORED = Meta(ge=0, le=MAX_ID)
_SUMMED = Meta(ge=0, le=MAX_QUANTITY)
Id = Annotated[int, _STORED, Whole(1, MAX_ID, is_id=True), Example(5)]
Name = Annotated[str, Text(1, 200)]
Email = Annotated[str, EmailAddress()]
Phone = Annotated[str, PhoneNumber()]
Stock = Annotated[int, _STORED, Whole(0, MAX_STOCK), Example(8)]
Quantity = Annotated[int, _SUMMED, Whole(1, MAX_QUANTITY), Example(2)]
Price = Annotated[Money, Amount(), Example("12.75")]
Total = Annotated[Money, Amount(stored=2), Example("25.50")]
When = Annotated[Time, Instant(), Example("2026-01-31T12:00:00.005Z")]
YesNo = Annotated[bool, Flag(), Example(True)]
