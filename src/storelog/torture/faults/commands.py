"""Faults of commands: PostgreSQL rejects one of them for a reason that no rule of the shop has.

Next: torture/faults/trial.py
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager

from storelog import postgres
from storelog.shop.json_values import encode_json
from storelog.shop.kinds import Money
from storelog.shop.product import NewProduct
from storelog.torture.faults.trial import Trial
from storelog.torture.ledger import SentRequest

COMMAND_SERVICES = ("command-service-1", "command-service-2")
REJECTED = 8
REJECTED_NAME = "Rejected by torture"
_MAKE = f"""
DROP TRIGGER IF EXISTS torture_rejects ON products;
CREATE OR REPLACE FUNCTION torture_rejects() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rejected by torture';
END $$;
CREATE TRIGGER torture_rejects BEFORE INSERT ON products FOR EACH ROW
    WHEN (NEW.name = '{REJECTED_NAME}') EXECUTE FUNCTION torture_rejects()"""
_DROP = "DROP FUNCTION IF EXISTS torture_rejects CASCADE"


def reject_one(trial: Trial) -> None:
    """Raise in a trigger for one name: those commands get 500 each time, and no others fail."""
    # Commands of one batch share a transaction, so one bad row could fail its neighbours.
    trial.rig.wait_ready(("postgresql", *COMMAND_SERVICES))
    before = set(trial.ledger.known())
    rejected: list[SentRequest] = []
    with _trigger(trial):
        for number in range(REJECTED):
            body = json.loads(encode_json(NewProduct(REJECTED_NAME, Money(1), 1)))
            request = SentRequest(
                f"{trial.prober.seed}-rejected-{len(before)}-{number}",
                "POST",
                "/products",
                body,
                f"rejected-{len(before)}-{number}",
            )
            rejected.append(request)
            trial.prober.send(request)
            trial.wait(0.1, 0.3)
        for request in rejected:
            if request.troubles != ["500 internal-error"]:
                told = request.response or request.troubles
                trial.report.breach(f"a command that PostgreSQL rejects got {told}")
    ours = {request.request_id for request in rejected}
    for name, request in trial.ledger.known().items():
        if name not in before | ours and request.troubles:
            trial.report.breach(
                f"{request.method} {request.path} ({name}) suffered from another command:"
                f" {request.troubles}"
            )


@contextmanager
def _trigger(trial: Trial) -> Iterator[None]:
    url = trial.rig.settings.postgres_url or ""
    asyncio.run(_execute(url, _MAKE))
    try:
        yield
    finally:
        asyncio.run(_execute(url, _DROP))


async def _execute(url: str, statements: str) -> None:
    connection = await postgres.connect(url, timeout=10, command_timeout=30)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()
