"""Money: exact decimals of at most four places, written as a string and never through a float."""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal

from storelog.shop.kinds import Money
from storelog.typed_cache import cached

# The largest sum that the limits allow has 38 digits, but Python's default context rounds to 28.
_EXACT = Context(prec=60)
_CENT = Decimal("0.01")


@cached(4_096)
def format_money(amount: Decimal) -> str:
    """Return "4.25", "8.50", "0.425": at least two places, more only where they are not zero."""
    exact = amount.normalize(_EXACT)
    if int(exact.as_tuple().exponent) > -2:
        exact = exact.quantize(_CENT, context=_EXACT)
    return f"{exact:f}"


def line_amount(quantity: int, price: Decimal) -> Money:
    """Return the exact amount of one order line."""
    return Money(_EXACT.multiply(Decimal(quantity), price))


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """Return the exact sum of amounts."""
    total = Decimal(0)
    for amount in amounts:
        total = _EXACT.add(total, amount)
    return total


def round_to_cents(amount: Decimal) -> Money:
    """Return the amount rounded half-even to two places, as an order's total is, once."""
    return Money(amount.quantize(_CENT, ROUND_HALF_EVEN, context=_EXACT))
