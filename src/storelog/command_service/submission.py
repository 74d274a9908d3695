"""What the HTTP door hands to the pipeline: one command with who sent it and under which key.

Next: command_service/pipeline.py
"""

from storelog.shop.commands import Command
from storelog.shop.value import value


@value
class Idempotency:
    """An `Idempotency-Key`, and the SHA-256 over method, path, conditions and body bytes."""

    key: str
    request_hash: bytes


@value
class Submission:
    """One command on its way. Ids that the database gives are 0 in `command`.

    `client` is the address that it came from.
    `query_url` is where the Query Service can be reached, "" where only its clients know.
    """

    command: Command
    caller: str
    correlation_id: str
    instance: str
    traceparent: str | None = None
    idempotency: Idempotency | None = None
    query_url: str = ""
    client: str = ""

    @property
    def party(self) -> str:
        """Who shares the service fairly with others: the key, else the address."""
        return self.caller or self.client

    @property
    def key(self) -> tuple[str, str] | None:
        """The key in the caller's own space of keys."""
        return None if self.idempotency is None else (self.caller, self.idempotency.key)
