"""One customer, product or order by its id. Next: query_service/listing.py"""

from collections.abc import Callable
from hashlib import sha256

from storelog.query_service import bodies
from storelog.query_service.answers import Document, answer, orders_with_names, unknown
from storelog.query_service.freshness import check_also, open_view
from storelog.query_service.reads import Reads, answering
from storelog.shop.event_kinds import EntityKind
from storelog.shop.events import CUSTOMER, ORDER, PRODUCT
from storelog.shop.json_values import encode_json
from storelog.web.http import Request, Response


class Singles:
    """The handlers, around one reader of MongoDB."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def get_customer(self, request: Request) -> Response:
        """GET /customers/{customerId}"""
        return await self._get_versioned(request, CUSTOMER, bodies.customer)

    async def get_product(self, request: Request) -> Response:
        """GET /products/{productId}"""
        return await self._get_versioned(request, PRODUCT, bodies.product)

    async def _get_versioned(
        self, request: Request, kind: EntityKind, body: Callable[[Document], Document]
    ) -> Response:
        number = request.ids[kind.id_name]
        async with answering():
            view = await open_view(self._reads, request, kind.name_of(number))
            found = await view.one(kind.collection, number)
        if found is None:
            raise unknown(kind, number)
        return answer(view, body(found), f'"{found["version"]}"')

    async def get_order(self, request: Request) -> Response:
        """GET /orders/{orderId}"""
        number = request.ids[ORDER.id_name]
        async with answering():
            view = await open_view(self._reads, request, ORDER.name_of(number))
            found = await view.one(ORDER.collection, number)
            if found is None:
                raise unknown(ORDER, number)
            # Its customer's name is of now, so what is missing there is missing here.
            await check_also(request, view, CUSTOMER.name_of(found[CUSTOMER.id_name]))
            [named] = await orders_with_names(view, [found])
        # The version is what a command may name; the hash tells of the name, which has its own.
        hashed = sha256(encode_json(named)).hexdigest()[:32]
        return answer(view, named, f'"{found["version"]}-{hashed}"')
