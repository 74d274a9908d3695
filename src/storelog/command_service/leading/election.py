"""Elects the leader: each service reads the lease every second, and takes it when nobody holds it.

Commands go to the leader as long as it takes them. Otherwise they are decided here, as they are
with a single service.
Next: command_service/leading/leader.py
"""

import asyncio
from contextlib import suppress

import asyncpg
import structlog

from storelog.command_service import measures
from storelog.command_service.leading import follower, lease, messages
from storelog.command_service.leading.certificate import NotMade
from storelog.command_service.leading.follower import Link, NotTaken
from storelog.command_service.leading.leader import Leader
from storelog.command_service.pipeline import Pipeline
from storelog.command_service.reader import Reader
from storelog.command_service.submission import Submission
from storelog.errors import Unavailable
from storelog.web.http import Response

# The address by which PostgreSQL sees this service; behind a pooler it is not the service's own.
_OWN_HOST = "SELECT coalesce(host(inet_client_addr()), '127.0.0.1')"
_log = structlog.get_logger()


class Election:
    """One per Command Service. `host` and `port`: where others reach it, if that is set."""

    def __init__(
        self,
        pipeline: Pipeline,
        reader: Reader,
        deadline_seconds: float,
        host: str | None = None,
        port: int = 0,
    ) -> None:
        self._pipeline, self._reader = pipeline, reader
        self._deadline = deadline_seconds
        self._host, self._port = host, port
        self._leader = Leader(pipeline.submit)
        self._post: lease.Post | None = None
        self._term: int | None = None
        self._link: Link | None = None
        self._looking: asyncio.Task[None] | None = None
        self._said = ""

    @property
    def role(self) -> str:
        """`leader`, `follower`, or `alone`: no leader takes its commands."""
        if self._leader.is_leading:
            return "leader"
        return "follower" if self._link is not None and self._link.takes else "alone"

    def start(self) -> None:
        """Begin to look at the lease."""
        measures.LEADS.read = lambda: float(self._leader.is_leading)
        self._looking = asyncio.create_task(self._look_on())

    async def stop(self) -> None:
        """Release the lease, and respond to what was taken. The pipeline must still run."""
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking
        self._leader.lead(False)
        if self._term is not None and self._post is not None:
            term, post = self._term, self._post
            with suppress(Unavailable):
                await self._reader.read(lambda connection: lease.end(connection, term, post))
        await self._leader.stop()
        if self._link is not None:
            self._link.abort()

    async def submit(self, submission: Submission) -> Response:
        """Return a command's response, wherever it is decided. Raises what Pipeline.submit does."""
        link = self._link
        if link is not None and link.takes:
            try:
                response = await link.forward(submission)
            except NotTaken:
                measures.TAKEN_BACK.add()
            else:
                measures.HANDED_ON.add()
                self._pipeline.given.gave_response(response)
                return response
        return await self._pipeline.submit(submission)

    async def _look_on(self) -> None:
        while True:
            try:
                held = await self._reader.read(self._look)
                if held is None and not self._leader.is_prepared:
                    await self._leader.prepare()
                    continue
                await self._follow(held)
            except Unavailable as error:
                # The leader goes on leading: nobody else can take the lease either.
                self._say("the lease on leading cannot be read", error=str(error))
            except NotMade as error:
                self._say("this service has no certificate and cannot lead", error=str(error))
            except OSError as error:
                advice = "set STORELOG_LEADER_HOST to an address of this machine"
                self._say("nobody can reach this service to lead", error=str(error), advice=advice)
            except Exception:  # noqa: BLE001  without this task the lease is never renewed again
                _log.exception("the lease on leading could not be looked at")
            await asyncio.sleep(lease.RENEW_SECONDS)

    async def _look(self, connection: asyncpg.Connection) -> lease.Lease | None:
        """Renew the lease, or take it; return it where another service has it."""
        if self._term is not None and self._post is not None:
            if await lease.renew(connection, self._term, self._post):
                return None
            self._step_down()
        held = await lease.read(connection)
        if held is not None and held.is_held:
            return held
        if not self._leader.is_prepared:
            return None
        if self._post is None:
            host = self._host or await connection.fetchval(_OWN_HOST)
            self._post = await self._leader.open(host, self._port)
        self._term = await lease.take(connection, self._post)
        if self._term is None:
            return await lease.read(connection)
        self._leader.lead(True)
        self._say("this service leads", term=self._term)
        return None

    def _step_down(self) -> None:
        self._term = None
        self._leader.lead(False)

    async def _follow(self, held: lease.Lease | None) -> None:
        """Keep a connection to the leader, if that is another service of this release."""
        link = self._link
        if link is not None and (held is None or link.post != held.post or not link.is_open):
            # It may still respond to commands that were handed to it, until their deadline.
            self._link = None
            asyncio.get_running_loop().call_later(self._deadline, link.abort)
        if held is None or self._link is not None:
            return
        if held.post.form != messages.FORM:
            self._say("the leader is of another release: commands are decided here")
            return
        self._link = await follower.connect(held.post, self._deadline)
        if self._link is None:
            self._say(
                "the leader cannot be reached: commands are decided here", host=held.post.host
            )
        else:
            self._say("another service leads", term=held.term, host=held.post.host)

    def _say(self, what: str, **facts: object) -> None:
        """Log what has changed, once."""
        if what != self._said:
            _log.info(what, **facts)
            self._said = what
