"""The tests have the signals they need, however the run was started."""

import signal


def test_an_interrupt_reaches_what_a_test_starts() -> None:
    """What is ignored here would be ignored by every process that a test starts."""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
