"""The first response to a command with an idempotency key, which a repeated one gets again.

Next: command_service/batch.py
"""

import json

from storelog.command_service.submission import Idempotency, Submission
from storelog.errors import InvalidFields
from storelog.shop.value import value
from storelog.web.http import Response
from storelog.web.problems import render

CallerKey = tuple[str, str]


@value
class Remembered:
    """The first response to a command that carried a key.

    `event_position`: of the event whose payload is the body; None: the body is stored itself.
    """

    request_hash: bytes
    response: Response
    event_position: int | None = None


@value
class Replay(Response):
    """The stored response to a command that was repeated with its key."""


def replay(earlier: Remembered, submission: Submission, key: Idempotency) -> Response:
    """Return the first response again, or an error if the key was used for another request."""
    if earlier.request_hash != key.request_hash:
        error = InvalidFields(
            [], "idempotency-key-reused", "This Idempotency-Key was used for another request."
        )
        return render(error, submission.instance, submission.correlation_id)
    first = earlier.response
    headers = (*first.headers, ("Idempotency-Replayed", "true"))
    return Replay(first.status, first.body, headers, first.content_type)


def headers_to_json(response: Response) -> str:
    """Return what is stored of a response beside its status and body."""
    return json.dumps({"content_type": response.content_type, "headers": response.headers})


def response_from_row(status: int, headers: str, body: bytes) -> Response:
    """Return a stored response from its row."""
    kept = json.loads(headers)
    pairs = tuple((str(name), str(value)) for name, value in kept["headers"])
    return Response(status, body, pairs, kept["content_type"])
