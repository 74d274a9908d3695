"""The last folder of the Postman collection: what operators ask of both services."""

from generate.steps import Folder, Step, post, read

OPERATORS = Folder(
    "Looking after it",
    "What operators ask. The first key of all closes both services, so none is created here.",
    (
        Step("The write side", "command", "GET", "/operations"),
        read(
            "The read side, and every process",
            "/operations",
            checks={"all lanes": "pm.expect(body.lanes.length).to.be.above(0);"},
        ),
        Step("The keys", "command", "GET", "/keys"),
        post(
            "A key of a role that is none",
            "/keys",
            {"name": "till-1", "role": "boss"},
            422,
            problem="invalid-fields",
        ),
        post(
            "Revoke a key that never was",
            "/keys/revocations",
            {"name": "nobody"},
            404,
            problem="not-found",
        ),
    ),
)
