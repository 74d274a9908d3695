"""The customer: who buys. Next: shop/product.py"""

from typing import Annotated, assert_never

from msgspec import Struct

from storelog.shop.aggregate import Aggregate, Versions, existing, recorded
from storelog.shop.kinds import Email, Example, Id, Name, Personal, Phone, Searched, Time, When
from storelog.shop.value import value

CustomerName = Personal[Annotated[Name, Example("Ann Miller")]]
CustomerEmail = Personal[Annotated[Email, Example("ann@example.com")]]
CustomerPhone = Personal[Annotated[Phone, Example("+442079460958")]]


class Customer(Struct, frozen=True, rename="camel"):
    """A customer."""

    customer_id: Id
    name: Annotated[CustomerName, Searched()]
    email: CustomerEmail
    phone_number: CustomerPhone | None


class NewCustomer(Struct, frozen=True, rename="camel"):
    """What a client sends to create or replace a customer."""

    name: CustomerName
    email: CustomerEmail
    phone_number: CustomerPhone | None = None


@value
class CreateCustomer:
    """Create a customer; the id was given by the database."""

    customer_id: int
    said: NewCustomer


@value
class UpdateCustomer:
    """Replace a customer's fields."""

    customer_id: int
    said: NewCustomer
    expected_versions: Versions | None = None


@value
class DeleteCustomer:
    """Delete a customer; orders stay."""

    customer_id: int
    expected_versions: Versions | None = None


class CustomerCreated(Customer, frozen=True, rename="camel"):
    """A customer was created."""


class CustomerUpdated(Customer, frozen=True, rename="camel"):
    """A customer's fields were replaced, perhaps by equal ones."""


class CustomerDeleted(Customer, frozen=True, rename="camel"):
    """A customer was deleted; the fields have their last values."""

    deleted_at: When


CustomerCommand = CreateCustomer | UpdateCustomer | DeleteCustomer
CustomerEvent = CustomerCreated | CustomerUpdated | CustomerDeleted


def decide(command: CustomerCommand, state: Aggregate[Customer] | None, now: Time) -> CustomerEvent:
    """Return the event that the command causes. Raises NotFound and StaleVersion."""
    # Apart from the match below: only a new customer has no state that could be missing or stale.
    if isinstance(command, CreateCustomer):
        return recorded(CustomerCreated, _customer(command.customer_id, command.said))
    what = f"customer {command.customer_id}"
    before = existing(state, what, command.expected_versions)
    match command:
        case UpdateCustomer():
            return recorded(CustomerUpdated, _customer(command.customer_id, command.said))
        case DeleteCustomer():
            return recorded(CustomerDeleted, before, deleted_at=now)
        case _:
            assert_never(command)


def _customer(customer_id: int, said: NewCustomer) -> Customer:
    return Customer(customer_id, said.name, said.email, said.phone_number)
