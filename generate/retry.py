"""The folder of the Postman collection that sends a command again."""

from generate.steps import Folder, equal, order, post, variable

_NEW_KEY = ('pm.collectionVariables.set("key", pm.variables.replaceIn("postman-{{$guid}}"));',)
_KEYED = {"Idempotency-Key": "{{key}}"}
RETRY = Folder(
    "Idempotent retry",
    "The same key with the same request gives the first response again and does nothing twice.",
    (
        post(
            "Order with a key",
            "/orders",
            order(1),
            headers=_KEYED,
            before=_NEW_KEY,
            saves={"keyedOrderId": "body.orderId"},
        ),
        post(
            "The same again",
            "/orders",
            order(1),
            headers=_KEYED,
            checks={
                "it is the first response": equal("body.orderId", variable("keyedOrderId")),
                "it says so": equal('header("Idempotency-Replayed")', '"true"'),
            },
        ),
        post(
            "The key with another request",
            "/orders",
            order(2),
            422,
            headers=_KEYED,
            problem="idempotency-key-reused",
        ),
    ),
)
