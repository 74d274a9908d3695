"""The customer aggregate: who buys. Next: domain/product.py"""

from collections.abc import Container
from dataclasses import replace
from datetime import datetime

from storelog.domain.value import value
from storelog.errors import NotFound, StaleVersion

Versions = Container[int]


@value
class AllBut:
    """Every version but some."""

    versions: frozenset[int]

    def __contains__(self, version: object) -> bool:
        return version not in self.versions


@value
class Customer:
    """A customer's state; `version` counts its events."""

    customer_id: int
    name: str
    email: str
    phone_number: str | None
    version: int = 1
    is_deleted: bool = False


@value
class CreateCustomer:
    """Ask for a new customer; the id was given by the database."""

    customer_id: int
    name: str
    email: str
    phone_number: str | None


@value
class UpdateCustomer:
    """Replace what is known of a customer."""

    customer_id: int
    name: str
    email: str
    phone_number: str | None
    expected_versions: Versions | None = None


@value
class DeleteCustomer:
    """Take a customer away; orders stay."""

    customer_id: int
    expected_versions: Versions | None = None


@value
class CustomerCreated:
    """A customer is known from now on."""

    customer: Customer


@value
class CustomerUpdated:
    """A customer's fields were replaced (by equal ones, perhaps)."""

    customer: Customer


@value
class CustomerDeleted:
    """A customer is gone; `customer` is the last state."""

    customer: Customer
    deleted_at: datetime


CustomerCommand = CreateCustomer | UpdateCustomer | DeleteCustomer
CustomerEvent = CustomerCreated | CustomerUpdated | CustomerDeleted


def decide(command: CustomerCommand, state: Customer | None, now: datetime) -> CustomerEvent:
    """Return the event that the command causes. Raises NotFound and StaleVersion."""
    if isinstance(command, CreateCustomer):
        return CustomerCreated(
            Customer(command.customer_id, command.name, command.email, command.phone_number)
        )
    if state is None or state.is_deleted:
        raise NotFound(f"There is no customer {command.customer_id}.")
    check_version(state.version, command.expected_versions)
    if isinstance(command, DeleteCustomer):
        return CustomerDeleted(replace(state, version=state.version + 1), now)
    changed = replace(
        state,
        name=command.name,
        email=command.email,
        phone_number=command.phone_number,
        version=state.version + 1,
    )
    return CustomerUpdated(changed)


def evolve(_state: Customer | None, event: CustomerEvent) -> Customer:
    """Return the state after the event."""
    if isinstance(event, CustomerDeleted):
        return replace(event.customer, is_deleted=True)
    return event.customer


def check_version(current: int, expected: Versions | None) -> None:
    """Raise StaleVersion unless the current version is among the expected ones; None: any is."""
    if expected is not None and current not in expected:
        raise StaleVersion(current)
