"""How a rejection by a rule of the shop is declared: which error, and what a client is told of it.

Next: shop/product.py
"""

from storelog.errors import Refusal
from storelog.shop.value import value


@value
class Rejection:
    """A rejection: its error, its slug, its title, and what its page says to do."""

    error: type[Refusal]
    slug: str
    title: str
    about: str
