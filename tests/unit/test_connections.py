"""The sweep that bounds every connection goes on, whatever one connection does."""

import structlog

from storelog.web.connections import Connections


class Odd:
    """A connection that fails when it is looked at, or does not."""

    def __init__(self, *, fails: bool) -> None:
        self._fails, self.looks, self.is_cut_off = fails, 0, False

    def look(self, now: float) -> None:
        self.looks += 1
        if self._fails:
            raise RuntimeError("the handler is closed")

    def cut_off(self) -> None:
        self.is_cut_off = True


def test_a_connection_that_fails_does_not_end_the_sweep_of_all_others() -> None:
    connections = Connections(10, 10)
    odd = [Odd(fails=True), Odd(fails=False)]
    for connection in odd:
        connections.enter(connection, ("127.0.0.1", 1))
    with structlog.testing.capture_logs() as logged:
        connections.sweep(0.0)
    assert [connection.looks for connection in odd] == [1, 1]
    assert [connection.is_cut_off for connection in odd] == [True, False]
    assert [line["log_level"] for line in logged] == ["error"]
