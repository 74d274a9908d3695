"""The lease on leading the Command Services: one row in PostgreSQL, renewed every second.

By PostgreSQL's clock alone, so that no service's own clock matters.
Next: command_service/leading/election.py
"""

import asyncpg

from storelog.shop.value import value

RENEW_SECONDS = 1.0
# Another service may take a lease that was not renewed for so long: two renewals may fail.
LASTS_SECONDS = 3.0

# Both ways: a time far ahead is from before the clock was set back, and would hold for ever.
_IS_OVER = f"abs(extract(epoch FROM clock_timestamp() - renewed_at)) > {LASTS_SECONDS}"
_READ = f"""SELECT term, host, port, certificate, secret, form, NOT {_IS_OVER} AS is_held
    FROM command_leader"""
_TAKE = f"""INSERT INTO command_leader AS held
        (term, host, port, certificate, secret, form, renewed_at)
    VALUES (1, $1, $2, $3, $4, $5, clock_timestamp())
    ON CONFLICT (is_only) DO UPDATE SET term = held.term + 1, host = $1, port = $2,
        certificate = $3, secret = $4, form = $5, renewed_at = clock_timestamp()
    WHERE {_IS_OVER.replace("renewed_at", "held.renewed_at")}
    RETURNING term"""
_RENEW = "UPDATE command_leader SET renewed_at = clock_timestamp() WHERE term = $1 AND secret = $2"
_END = "UPDATE command_leader SET renewed_at = '-infinity' WHERE term = $1 AND secret = $2"


@value
class Post:
    """Where a leader takes commands, and what followers need to speak to it.

    `certificate` is PEM, `secret` 32 random bytes, `form` how commands are written.
    """

    host: str
    port: int
    certificate: str
    secret: bytes
    form: str


@value
class Lease:
    """Who leads since which term; `is_held`: it was renewed not long ago."""

    term: int
    post: Post
    is_held: bool


async def read(connection: asyncpg.Connection) -> Lease | None:
    """Return the lease, None where there never was one."""
    row = await connection.fetchrow(_READ)
    if row is None:
        return None
    term, *post, is_held = row
    return Lease(term, Post(*post), is_held)


async def take(connection: asyncpg.Connection, post: Post) -> int | None:
    """Begin to lead if nobody does; return the term, None where somebody leads."""
    term: int | None = await connection.fetchval(
        _TAKE, post.host, post.port, post.certificate, post.secret, post.form
    )
    return term


async def renew(connection: asyncpg.Connection, term: int, post: Post) -> bool:
    """Go on leading; return whether the lease is still this one."""
    return bool(await connection.execute(_RENEW, term, post.secret) == "UPDATE 1")


async def end(connection: asyncpg.Connection, term: int, post: Post) -> None:
    """End the lease, so that another service leads at once."""
    await connection.execute(_END, term, post.secret)
