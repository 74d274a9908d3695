"""Behind its last response a connection is heard out: in time, in bytes and in number bounded."""

import pytest

from storelog.web.connections import MAX_LINGERING, Connections
from storelog.web.protocol import LINGER_SECONDS, MAX_REST_BYTES, REST_SECONDS, LimitedProtocol
from support.wire import Served, serve

HEADS = {
    "HTTP/1.0": b"POST /nothing HTTP/1.0\r\nHost: localhost\r\n\r\n",
    "Connection: close": b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "malformed": b"rubbish\r\n\r\n",
}
MEGABYTE = b"a" * 1_000_000


class Clock:
    """The time of a loop, in seconds, which stands still."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Lingering:
    """A connection that lingers: counts how often it is cut off."""

    def __init__(self) -> None:
        self.is_cut_off = False

    def look(self, now: float) -> None:
        """Nothing changes."""

    def cut_off(self) -> None:
        self.is_cut_off = True


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_client_that_says_nothing_more_has_some_seconds_to_close(head: bytes) -> None:
    clock = Clock()

    def then(protocol: LimitedProtocol, served: Served) -> None:
        protocol.look(clock.now + LINGER_SECONDS - 0.1)
        assert not served.is_cut
        protocol.look(clock.now + LINGER_SECONDS + 0.1)

    served = serve([head], then, clock)
    assert served.is_closed
    assert served.is_cut


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("is_stopping", [False, True])
def test_a_client_that_sends_on_is_heard_out_for_longer_unless_the_service_stops(
    head: bytes, is_stopping: bool
) -> None:
    clock = Clock()

    def then(protocol: LimitedProtocol, served: Served) -> None:
        began = clock.now
        if is_stopping:
            protocol.shutdown()
        while not served.is_cut and clock.now < began + 100:
            clock.now += 1
            protocol.look(clock.now)
            if not served.is_cut:
                protocol.data_received(b"a")
        clock.now -= began

    assert serve([head], then, clock).is_cut
    assert clock.now == (LINGER_SECONDS if is_stopping else REST_SECONDS) + 1


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_what_is_heard_of_a_client_behind_its_last_response_has_a_limit(head: bytes) -> None:
    most = MAX_REST_BYTES // len(MEGABYTE)
    assert not serve([head, *[MEGABYTE] * most]).is_cut
    assert serve([head, *[MEGABYTE] * (most + 1)]).is_cut


def test_a_last_response_that_is_not_sent_yet_has_the_time_of_any_response() -> None:
    clock = Clock()

    def then(protocol: LimitedProtocol, served: Served) -> None:
        for served.unsent in (9_000_000, 8_000_000, 7_000_000, 0):
            clock.now += 15
            protocol.look(clock.now)
            assert not served.is_cut
        protocol.look(clock.now + LINGER_SECONDS + 0.1)

    assert serve([HEADS["HTTP/1.0"]], then, clock, unsent=10_000_000).is_cut


def test_a_first_response_that_is_not_sent_at_the_first_look_does_not_end_its_connection() -> None:
    clock = Clock()

    def then(protocol: LimitedProtocol, served: Served) -> None:
        clock.now += 1
        protocol.look(clock.now)

    head = b"GET /orders HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert not serve([head], then, clock, unsent=1_000_000).is_closed


def test_connections_that_linger_do_not_count_and_the_oldest_of_too_many_is_cut_off() -> None:
    connections = Connections(2, 1)
    crowd = [Lingering() for _ in range(MAX_LINGERING + 1)]
    for each in crowd:
        assert connections.enter(each, ("127.0.0.1", 1)) is None
        connections.linger(each, ("127.0.0.1", 1))
    assert [each.is_cut_off for each in crowd] == [True] + [False] * MAX_LINGERING
    connections.leave(crowd[1], ("127.0.0.1", 1))
    connections.linger(crowd[0], ("127.0.0.1", 1))
    assert not crowd[2].is_cut_off
