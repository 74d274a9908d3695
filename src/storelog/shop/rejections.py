"""How a rejection by a rule of the shop is declared: its error, and what a client reads about it.

Next: shop/product.py
"""

from storelog.errors import Refusal
from storelog.shop.value import value


@value
class Rejection:
    """A rejection: its error, slug and title, and the advice on its problem page."""

    error: type[Refusal]
    slug: str
    title: str
    about: str
