"""What the Postman collection tells: folders of requests, each with what is expected of it."""

from generate.operators import OPERATORS
from generate.retry import RETRY
from generate.steps import Folder, Step, delete, equal, order, post, put, read, variable

_ANN = {"name": "Ann Miller", "email": "ann@example.com", "phoneNumber": None}
_STAND = {"name": "Cake stand", "price": "12.75", "stock": 10}
_CUSTOMER, _PRODUCT, _ORDER = (
    "/customers/{customerId}",
    "/products/{productId}",
    "/orders/{orderId}",
)
_ETAG = {"etag": 'header("ETag")'}
_TOTALS = "/analytics/total-sales"


def _there(service: str) -> tuple[Step, ...]:
    paths = ("/", "/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs")
    return tuple(Step(f"{service}: {path}", service, "GET", path) for path in paths)


STORY = (
    Folder(
        "Is it there?",
        "What both services say of themselves. `/health/*` needs no key.",
        (*_there("command"), *_there("query")),
    ),
    Folder(
        "First order",
        "A product, a customer, an order; then all three from the read side.",
        (
            post(
                "Create a product",
                "/products",
                _STAND,
                saves={"productId": "body.productId", **_ETAG},
                checks={"there is stock": equal("body.stockStatus", "true")},
            ),
            post("Create a customer", "/customers", _ANN, saves={"customerId": "body.customerId"}),
            post(
                "Place an order for two",
                "/orders",
                order(2),
                saves={"orderId": "body.orderId", "orderPosition": 'header("Storelog-Position")'},
                checks={"the total is computed": equal("body.totalPrice", '"25.50"')},
            ),
            read(
                "Read the order",
                _ORDER,
                checks={"it has the customer's name": equal("body.customerName", '"Ann Miller"')},
            ),
            read(
                "Read the product",
                _PRODUCT,
                checks={"two are gone": equal("body.stock", "8")},
            ),
            read("Read the customer", _CUSTOMER),
            read(
                "List the customer's orders",
                "/customers/{customerId}/orders",
                checks={
                    "the order is there": equal(
                        "body.items.map(o => o.orderId)", f"[{variable('orderId')}]"
                    )
                },
            ),
            read(
                "List the order's sales",
                "/product-sold",
                query={"orderId": "{{orderId}}"},
                checks={"one line": equal("body.items.map(s => s.quantitySold)", "[2]")},
            ),
            read("List customers", "/customers", query={"limit": "10"}),
            read("List what is in stock", "/products", query={"inStock": "true", "limit": "10"}),
            read("List the newest orders", "/orders", query={"limit": "10"}),
        ),
    ),
    Folder(
        "Out of stock",
        "An order is all or nothing: a rejected one changes nothing.",
        (
            post(
                "Ask for more than there is",
                "/orders",
                order(9),
                409,
                problem="insufficient-stock",
                checks={"it says what there is": equal("body.products[0].available", "8")},
            ),
            read("The stock is as before", _PRODUCT, checks={"8": equal("body.stock", "8")}),
            post(
                "Five more come in",
                f"{_PRODUCT}/stock-adjustments",
                {"delta": 5, "reason": "delivery"},
                200,
                checks={"13": equal("body.stock", "13")},
            ),
            post("Now it works", "/orders", order(9), saves={"secondOrderId": "body.orderId"}),
            post(
                "A product that does not exist",
                "/orders",
                order(1, "{{unknownId}}"),
                422,
                problem="unknown-product",
                checks={
                    "it points at the field": equal(
                        "body.errors[0].pointer", '"/orderItems/0/productId"'
                    )
                },
            ),
        ),
    ),
    RETRY,
    Folder(
        "Stale update",
        "`If-Match` with the version that was read; two people cannot overwrite one another.",
        (
            read("Read the product and its version", _PRODUCT, saves=_ETAG),
            put(
                "Change it",
                _PRODUCT,
                {"name": "Cake stand, red", "price": "13.50"},
                headers={"If-Match": "{{etag}}"},
                checks={"the stock stays": equal("body.stock", "3")},
            ),
            put(
                "Change it from the old version",
                _PRODUCT,
                {"name": "Cake stand, blue", "price": 14},
                412,
                headers={"If-Match": "{{etag}}"},
                problem="stale-version",
                checks={
                    "it names the current one": "pm.expect(body.currentVersion).to.be.above(1);"
                },
            ),
            put(
                "Fields that are wrong are all named",
                _CUSTOMER,
                {"name": "", "email": "nobody", "phoneNumber": None},
                422,
                problem="invalid-fields",
                checks={
                    "both": equal("body.errors.map(e => e.pointer).sort()", '["/email", "/name"]')
                },
            ),
        ),
    ),
    Folder(
        "Read your writes",
        "Every response names the position that it holds. Name in `Storelog-Wait-For` the position "
        "that a command gave, and the response holds what was written.",
        (
            put("Ann marries", _CUSTOMER, {**_ANN, "name": "Ann Baker"}),
            read(
                "Her new name can be read",
                _CUSTOMER,
                checks={"it is there": equal("body.name", '"Ann Baker"')},
            ),
            read(
                "Her orders have it too",
                "/orders",
                query={"customerId": "{{customerId}}"},
                checks={
                    "all of them": "pm.expect(body.items.every("
                    'o => o.customerName === "Ann Baker")).to.be.true;'
                },
            ),
        ),
    ),
    Folder(
        "Who changed what",
        "Every event of an entity, newest first: from what to what, by which call; and how it was.",
        (
            read(
                "How Ann came by her name",
                "/history/customers/{customerId}",
                checks={
                    "the newest first": equal(
                        "body.items[0].changed",
                        '[{field: "name", from: "Ann Miller", to: "Ann Baker"}]',
                    )
                },
            ),
            read(
                "Ann as she was when she ordered",
                _CUSTOMER,
                query={"asOf": "{{orderPosition}}"},
                checks={"her old name": equal("body.name", '"Ann Miller"')},
            ),
            read("What became of the product", "/history/products/{productId}"),
            read("Who placed the order", "/history/orders/{orderId}"),
        ),
    ),
    Folder(
        "Analytics",
        "Totals of all orders that are not deleted; a deleted one is in none of them.",
        (
            read("Sales in all", _TOTALS, saves={"ordersBefore": "body.orders"}),
            read("Sales by product", "/analytics/product-totals", query={"limit": "5"}),
            read("Sales by day", "/analytics/sales-by-day", query={"from": "2026-01-01"}),
            read("Best customers", "/analytics/top-customers", query={"limit": "5"}),
            read("Low stock", "/analytics/low-stock", query={"atMost": "10", "limit": "5"}),
            delete("Delete an order", "/orders/{keyedOrderId}"),
            read(
                "It is in no total",
                _TOTALS,
                checks={
                    "one order less": equal(
                        "body.orders", f"Number({variable('ordersBefore')}) - 1"
                    )
                },
            ),
            read(
                "Its sale is kept as cancelled",
                "/product-sold",
                query={"orderId": "{{keyedOrderId}}", "cancelled": "true"},
                checks={"it says so": equal("body.items.map(s => s.cancelled)", "[true]")},
            ),
            read("Its stock is back", _PRODUCT, checks={"4": equal("body.stock", "4")}),
            Step(
                "A ticket, with which a browser may follow",
                "query",
                "POST",
                "/live/tickets",
                201,
                checks={"a minute": "pm.expect(body.expiresAt).to.match(/Z$/);"},
            ),
        ),
    ),
    Folder(
        "The log, and the end",
        "Every change is an event. What is deleted is deleted for good, and keeps its orders.",
        (
            Step(
                "The product's events",
                "command",
                "GET",
                "/events",
                query={"aggregate": "product-{{productId}}", "limit": "20"},
                checks={"the first made it": equal("body.items[0].eventType", '"ProductCreated"')},
            ),
            Step(
                "One event, and its neighbours in the chain",
                "command",
                "GET",
                "/events/{orderPosition}",
                checks={"its hash is right": equal("body.isHashValid", "true")},
            ),
            delete("Delete the product", _PRODUCT),
            delete("Delete it twice", _PRODUCT, 404, problem="not-found"),
            delete("Delete the customer", _CUSTOMER),
            read(
                "The order is still there",
                _ORDER,
                checks={"all": equal("body.totalPrice", '"25.50"')},
            ),
        ),
    ),
    OPERATORS,
)
