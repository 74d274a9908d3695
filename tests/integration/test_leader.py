"""Several Command Services: one decides for all, and which one changes nothing but the speed."""

import asyncio
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from storelog.command_service.leading import messages
from storelog.command_service.leading.certificate import trusting
from support.embedded import EmbeddedServers, new_settings
from support.http import Client, Reply
from support.system import ANN, System, wait_for

# What the reference promises, and what a busy machine is given beyond it.
RESUMED_SECONDS, GRACE_SECONDS = 2.0, 3.0
ONE = ("command-service",)


class Pair:
    """Two Command Services on one log."""

    def __init__(self, first: System, second: System) -> None:
        self.both = (first, second)

    def roles(self) -> list[str]:
        replies = [each.commands.get("/health/ready") for each in self.both]
        return [str(reply.json.get("role")) for reply in replies]

    def settled(self) -> tuple[System, System]:
        """Return the leader and its follower, once that is what they are."""
        wait_for(lambda: sorted(self.roles()) == ["follower", "leader"], "one that follows")
        first, second = self.both
        return (first, second) if self.roles()[0] == "leader" else (second, first)


@pytest.fixture(scope="module")
def pair(servers: EmbeddedServers) -> Iterator[Pair]:
    with System(new_settings(servers), ONE) as first, System(first.settings, ONE) as second:
        yield Pair(first, second)


@pytest.fixture
def to_hurt(servers: EmbeddedServers) -> Iterator[Pair]:
    """A pair of the test's own."""
    with System(new_settings(servers), ONE) as first, System(first.settings, ONE) as second:
        yield Pair(first, second)


def create(client: Client, key: str | None = None) -> Reply:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post("/customers", ANN, headers=headers)


def handed_on(system: System) -> int:
    """Return how many commands of a service the leader has decided."""
    name = "storelog_commands_handed_on_total"
    lines = system.commands.get("/metrics").raw.decode().splitlines()
    return sum(int(float(line.split()[1])) for line in lines if line.startswith(name + " "))


def test_one_of_two_leads_and_decides_for_the_other(pair: Pair) -> None:
    _, follower = pair.settled()
    before = handed_on(follower)
    assert create(follower.commands).status == 201
    assert handed_on(follower) == before + 1


def test_a_response_is_the_same_whichever_service_decides(pair: Pair) -> None:
    leader, follower = pair.settled()
    made = [create(each.commands) for each in (leader, follower)]
    assert [reply.status for reply in made] == [201, 201]
    assert set(made[0].headers) == set(made[1].headers)
    assert made[1].position == made[0].position + 1
    ids = [reply.json["customerId"] for reply in made]
    for each in (follower, leader):
        stale = each.commands.put(f"/customers/{ids[0]}", ANN, headers={"If-Match": '"7"'})
        gone = each.commands.delete("/customers/999999")
        wrong = each.commands.post("/orders", {"customerId": ids[0], "orderItems": []})
        assert (stale.status, stale.slug) == (412, "stale-version")
        assert (gone.status, gone.slug) == (404, "not-found")
        assert (wrong.status, wrong.slug) == (422, "invalid-fields")


def test_a_key_has_one_effect_through_both_at_once(pair: Pair) -> None:
    leader, follower = pair.settled()
    before = leader.written()
    with ThreadPoolExecutor(16) as pool:
        clients = [each.commands for each in (leader, follower)] * 8
        replies = list(pool.map(lambda client: create(client, "once"), clients))
    assert {reply.status for reply in replies} == {201}
    assert len({reply.raw for reply in replies}) == 1
    assert leader.written() == before + 1


@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_without_its_leader_a_follower_goes_on_within_two_seconds(
    to_hurt: Pair, number: signal.Signals
) -> None:
    leader, follower = to_hurt.settled()
    leader.signal("command-service", number)
    began = time.monotonic()
    reply = create(follower.commands, "after")
    took = time.monotonic() - began
    assert (reply.status, took < RESUMED_SECONDS + GRACE_SECONDS) == (201, True), (took, reply)
    wait_for(
        lambda: follower.commands.get("/health/ready").json.get("role") == "leader", "a new one"
    )
    if number == signal.SIGSTOP:
        leader.signal("command-service", signal.SIGCONT)
        # It has lost the lease, sees it, and follows.
        assert to_hurt.settled() == (follower, leader)
        assert create(leader.commands).status == 201


def test_a_leader_that_stops_leaves_no_command_without_its_response(to_hurt: Pair) -> None:
    leader, follower = to_hurt.settled()
    stop, replies = threading.Event(), list[Reply]()

    def write() -> None:
        while not stop.is_set():
            replies.append(create(follower.commands))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(replies) > 20, "commands on their way")
    leader.signal("command-service", signal.SIGTERM)
    assert leader.exit_code("command-service") == 0
    wait_for(
        lambda: follower.commands.get("/health/ready").json.get("role") == "leader", "a new one"
    )
    stop.set()
    for thread in threads:
        thread.join(30)
    assert {reply.status for reply in replies} == {201}


def test_a_leader_takes_nothing_without_the_secret_of_its_lease(pair: Pair) -> None:
    leader, _ = pair.settled()
    post = leader.sql("SELECT host, port, certificate FROM command_leader")[0]

    async def knock(first: bytes) -> bytes:
        """Return what the leader says to a connection that begins so, until it ends."""
        said = b""
        reader, writer = await asyncio.open_connection(
            post["host"], post["port"], ssl=trusting(post["certificate"])
        )
        writer.write(first)
        with suppress(ConnectionError, ssl.SSLError):
            async with asyncio.timeout(10):
                while more := await reader.read(1_000):
                    said += more
        writer.transport.abort()
        return said

    before = leader.written()
    wrong = messages.pack(messages.Hello(bytes(32)))
    for first in (wrong, b"\0\0\0\1\xc1", b"\xff" * 8, b"POST /customers HTTP/1.1\r\n\r\n"):
        assert asyncio.run(knock(first)) == b""
    assert leader.written() == before
    assert create(leader.commands).status == 201


def test_a_service_of_another_form_decides_for_itself(to_hurt: Pair) -> None:
    _, follower = to_hurt.settled()
    follower.signal("command-service", signal.SIGTERM)
    follower.exit_code("command-service")
    follower.sql("UPDATE command_leader SET form = 'of another release'")
    follower.start("command-service")
    follower.wait_ready("command-service")
    assert create(follower.commands).status == 201
    assert (handed_on(follower), follower.commands.get("/health/ready").json["role"]) == (
        0,
        "alone",
    )
