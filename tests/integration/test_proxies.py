"""`http_proxy`: this machine's own addresses are reached without it, all others through it."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from storelog import tracing
from storelog.config import Settings
from storelog.errors import Unavailable
from storelog.local.servers import why_not_ready
from storelog.proxies import open_url
from storelog.web.tokens import Tokens
from support import otlp
from support.provider import Provider, settings
from support.proxy import Proxy, proxy
from support.system import System


@pytest.fixture
def through(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy that the environment names for everything."""
    with proxy() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
            monkeypatch.setenv(name.upper(), value)
        yield running


def test_what_runs_on_this_machine_is_asked_without_the_proxy(shop: System, through: Proxy) -> None:
    for name in ("command-service", "relay", "projector", "query-service"):
        assert why_not_ready(shop.url(name)) is None
    done = shop.cli("doctor", environment=through.environment)
    assert "PostgreSQL" in done.stdout
    assert not through.asked


def test_an_openid_provider_of_this_machine_is_asked_without_the_proxy(
    provider: Provider, through: Proxy
) -> None:
    asyncio.run(Tokens(settings(provider)).caller(provider.token("one")))
    assert not through.asked


def test_another_openid_provider_is_asked_through_the_proxy(
    provider: Provider, through: Proxy
) -> None:
    there = replace(settings(provider), oidc_issuer="https://provider.example/shop")
    with pytest.raises(Unavailable):
        asyncio.run(Tokens(there).caller(provider.token("one")))
    assert through.asked == ["CONNECT provider.example:443"]


def test_traces_for_another_machine_go_through_the_proxy(through: Proxy) -> None:
    _send_span("http://collector.example:4318")
    assert "POST http://collector.example:4318/v1/traces" in through.asked


def test_traces_for_this_machine_go_without_the_proxy(through: Proxy) -> None:
    with otlp.collecting() as collector:
        _send_span(collector.url)
        assert [span.name for span in collector.spans] == ["one"]
    assert not through.asked


def test_what_is_downloaded_comes_through_the_proxy(through: Proxy) -> None:
    with pytest.raises(OSError, match="502"):
        open_url("http://downloads.example/mongodb.tgz", 5.0)
    assert through.asked == ["GET http://downloads.example/mongodb.tgz"]


def test_what_is_downloaded_comes_through_the_proxy_of_all_but_from_hosts_that_need_none(
    through: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.delenv(name)
        monkeypatch.delenv(name.upper())
    monkeypatch.setenv("no_proxy", "direct.invalid")
    with pytest.raises(OSError, match="502"):
        open_url("http://downloads.example/mongodb.tgz", 5.0)
    with pytest.raises(OSError, match="502"):
        open_url("https://downloads.example/mongodb.tgz", 5.0)
    with pytest.raises(OSError, match="urlopen error"):
        open_url("http://direct.invalid/mongodb.tgz", 5.0)
    assert through.asked == [
        "GET http://downloads.example/mongodb.tgz",
        "CONNECT downloads.example:443",
    ]


def _send_span(endpoint: str) -> None:
    tracing.set_up(Settings(otlp_endpoint=endpoint), "tests")
    try:
        tracing.begin("one", "server", None).end()
    finally:
        tracing.shut_down()
