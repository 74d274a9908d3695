"""The kinds of values that a field may have, each with its limits, and the marks of a field.

A field is declared once, as in `price: Price` (shop/product.py). Each room reads the declaration
(shop/fields.py) and derives what it needs: the check of a request, a body, a column, a document. A
kind does not know how it is written anywhere.
Next: shop/customer.py
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from msgspec import Meta

T = TypeVar("T")

# The largest bigint of PostgreSQL and long of BSON.
MAX_ID = 2**63 - 1
# The largest integer of PostgreSQL: a higher limit needs a migration of the column.
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

    # BSON's dates have milliseconds, so PostgreSQL, Kafka and MongoDB all return the same time.
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
    """A whole number from `lowest` to `highest`; `is_id`: it identifies an entity or a line."""

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
    """A phone number: digits, perhaps after a +, without the separators that people type.

    It has at most `longest` characters, and at most `typed` ones as the client sends it.
    """

    longest: int = 15
    typed: int = 1_000


@dataclass(frozen=True, slots=True)
class Amount:
    """Money from 0 to `highest` with at most `places` decimals, `stored` ones in what is stored.

    A client that sends it as a text uses at most `written` characters.
    """

    highest: Decimal = MAX_PRICE
    places: int = 4
    stored: int = 8
    written: int = 40


@dataclass(frozen=True, slots=True)
class Instant:
    """A point in time; one from a client lies between `earliest` and `latest`."""

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
    """One of some texts. Fields marked OnlyWith are present with one of the texts only."""

    texts: tuple[str, ...]


Kind = Whole | Text | EmailAddress | PhoneNumber | Amount | Instant | Flag | Lines | Choice


@dataclass(frozen=True, slots=True)
class Mark:
    """A property of a field beside its kind; see the subclasses."""


@dataclass(frozen=True, slots=True)
class IsComputed(Mark):
    """The value follows from other fields: no client may set it."""


@dataclass(frozen=True, slots=True)
class IsPersonal(Mark):
    """The value is about a person.

    It is stored and shown as any other: the mark tells readers of the declaration, and of
    docs/schemas/derived.json, where personal data is.
    """


@dataclass(frozen=True, slots=True)
class ImportOnly(Mark):
    """Only a key of the role `import` may set it."""

    description: str


@dataclass(frozen=True, slots=True)
class Reference(Mark):
    """The id names a document of another collection; documents hold a DBRef as well."""

    collection: str


@dataclass(frozen=True, slots=True)
class Searched(Mark):
    """A search finds the entity by the words of the value."""


@dataclass(frozen=True, slots=True)
class Unique(Mark):
    """No two entities that exist have the same value; a second one is a 409 with this slug."""

    slug: str


@dataclass(frozen=True, slots=True)
class Since(Mark):
    """This schema version added the field; `before`: its value in older data, in its JSON form.

    The fields without this mark are version 1, so the first field that is added says 2. Fields that
    the same release adds share a version.
    """

    version: int
    before: Any


@dataclass(frozen=True, slots=True)
class Upcast(Mark):
    """The event's upcaster adds the member to payloads of schema versions before `before`.

    It may be null there only: a null is never written.
    """

    before: int


@dataclass(frozen=True, slots=True)
class OnlyWith(Mark):
    """The field is present with this text of the structure's choice, and with no other."""

    text: str


@dataclass(frozen=True, slots=True)
class Example(Mark):
    """The value that schemas show as an example; the outermost one counts."""

    value: Any


Computed = Annotated[T, IsComputed()]
Personal = Annotated[T, IsPersonal()]

# Values that MongoDB can hold, and whose sums it can hold. Payloads are checked against these only,
# since a log of any release must be readable; requests are checked against the limits of a kind.
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
