"""Runs `storelog` as on a machine whose clock is wrong: wrong_clock.py SECONDS ARGUMENT..."""

import datetime
import runpy
import sys
import time

# The folder of this file has modules of the names of others.
del sys.path[0]
_SECONDS = float(sys.argv[1])
_time, _time_ns = time.time, time.time_ns


class _Datetime(datetime.datetime):
    """Tells a wrong time; what it gives are Python's own, which encoders know."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
        return datetime.datetime.fromtimestamp(time.time(), tz)

    @classmethod
    def fromisoformat(cls, text: str, /) -> datetime.datetime:  # type: ignore[override]
        return datetime.datetime.fromisoformat(text)

    @classmethod
    def fromtimestamp(  # type: ignore[override]
        cls, seconds: float, tz: datetime.tzinfo | None = None
    ) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(seconds, tz)


def main() -> None:
    time.time = lambda: _time() + _SECONDS
    time.time_ns = lambda: _time_ns() + int(_SECONDS * 1e9)

    # All that Storelog asks for the date is asked in this one module.
    from storelog import envelope

    vars(envelope)["datetime"] = _Datetime
    sys.argv = ["storelog", *sys.argv[2:]]
    runpy.run_module("storelog", run_name="__main__")


main()
