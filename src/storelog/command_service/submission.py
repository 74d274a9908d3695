"""What the HTTP handlers give to the pipeline: one command, its sender and its idempotency key.

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
    """One command on its way to the pipeline; ids that the database will give are 0 in it.

    `client` is the address that the request came from.
    `query_url` is the Query Service's public address, "" where it is not configured.
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
        """Whom the queue is fair to: the API key, else the client's address."""
        return self.caller or self.client

    @property
    def key(self) -> tuple[str, str] | None:
        """The idempotency key with its caller, so that callers cannot use each other's keys."""
        return None if self.idempotency is None else (self.caller, self.idempotency.key)
