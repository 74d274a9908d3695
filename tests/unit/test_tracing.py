"""Tracing: off by default, bounded when on, and honest about what it needs."""

import sys

import pytest
import urllib3  # noqa: F401  the exporter's: it binds a socket as it is imported, to learn of IPv6

from storelog import tracing
from storelog.config import Settings
from storelog.errors import CannotRun

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def test_it_is_off_unless_a_setting_says_where_to() -> None:
    tracing.set_up(Settings(), "test")
    assert not tracing.is_on()
    tracing.shut_down()


def test_without_the_sdk_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(CannotRun, match=r"storelog\[tracing\]"):
        tracing.set_up(Settings(otlp_endpoint="http://127.0.0.1:4318"), "test")
    assert not tracing.is_on()


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (PARENT, True),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"01-{TRACE}-b7ad6b7169203331-01", False),
        ("rubbish", False),
    ],
)
def test_only_a_valid_traceparent_is_one(text: str, is_one: bool) -> None:
    assert tracing.is_traceparent(text) is is_one
