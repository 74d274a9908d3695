"""A leader limits connections that have not sent its secret, and keeps no follower out."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop

from storelog.command_service.leading import certificate, entrance, messages
from storelog.command_service.leading.certificate import trusting
from storelog.command_service.leading.leader import Leader
from storelog.command_service.leading.lease import Post

CROWD = 300
LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def on(loop: Callable[[], Any], work: Callable[[Leader, Post], Awaitable[None]]) -> None:
    """Do the work beside a leader without followers."""

    async def run() -> None:
        leader = Leader(lambda _: asyncio.get_running_loop().create_future())
        post = await leader.open("127.0.0.1", 0)
        try:
            async with asyncio.timeout(20):
                await work(leader, post)
        finally:
            await leader.stop()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())


async def greet(post: Post) -> Connection:
    """Return the connection of a follower that has said the secret and heard the leader's beat."""
    reader, writer = await asyncio.open_connection(
        post.host, post.port, ssl=trusting(post.certificate)
    )
    writer.write(messages.pack(messages.Hello(post.secret)))
    assert await reader.read(1)
    return reader, writer


async def has_ended(connection: Connection) -> bool:
    """Wait for the end of a connection that nothing is said on."""
    try:
        return await connection[0].read(1) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])
def test_of_too_many_connections_without_the_secret_the_oldest_end_and_a_follower_comes_in(
    loop: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # None ends by its time limit.
    monkeypatch.setattr(entrance, "HELLO_SECONDS", 60.0)

    async def crowd(_leader: Leader, post: Post) -> None:
        known = await greet(post)
        silent = [await asyncio.open_connection(post.host, post.port) for _ in range(CROWD)]
        ends = [asyncio.create_task(has_ended(each)) for each in silent]
        for end in ends[: CROWD - entrance.MAX_STRANGERS]:
            assert await end
        assert not any(end.done() for end in ends[CROWD - entrance.MAX_STRANGERS :])
        another = await greet(post)
        for _, writer in (*silent, known, another):
            writer.transport.abort()
        await asyncio.gather(*ends)

    on(loop, crowd)


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])
def test_a_connection_that_does_not_say_the_secret_in_time_is_ended(
    loop: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entrance, "HELLO_SECONDS", 0.3)

    async def wait(_leader: Leader, post: Post) -> None:
        known = await greet(post)
        plain = await asyncio.open_connection(post.host, post.port)
        encrypted = await asyncio.open_connection(
            post.host, post.port, ssl=trusting(post.certificate)
        )
        assert await has_ended(plain)
        assert await has_ended(encrypted)
        assert await known[0].read(1)
        for _, writer in (plain, encrypted, known):
            writer.transport.abort()

    on(loop, wait)


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])
@pytest.mark.parametrize(
    ("maker", "why"),
    [
        ("raise SystemExit('no random bytes')", "no random bytes"),
        ("print('rubbish')", "exit code 0"),
        ("import signal; signal.pause()", "TimeoutError"),
    ],
    ids=["fails", "prints something else", "never ends"],
)
def test_a_certificate_that_cannot_be_made_says_why_and_leaves_no_process(
    loop: Callable[[], Any], maker: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate, "_MAKER", ("-c", maker))
    monkeypatch.setattr(certificate, "MAKING_SECONDS", 10.0 if "pause" not in maker else 0.5)

    async def prepare() -> None:
        leader = Leader(lambda _: asyncio.get_running_loop().create_future())
        with pytest.raises(certificate.NotMade, match=why):
            await leader.prepare()
        assert not leader.is_prepared

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(prepare())
    children = psutil.Process().children()
    assert not [child for child in children if maker in child.cmdline()]


def test_a_service_whose_user_may_not_start_python_again_makes_its_certificate_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbidden = tmp_path / "python"
    forbidden.touch()
    monkeypatch.setattr(sys, "executable", str(forbidden))
    made, _ = asyncio.run(certificate.make_certificate())
    assert made.startswith("-----BEGIN CERTIFICATE-----")
