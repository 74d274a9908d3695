"""Without keys only requests to hosts that are ours are served; a page's own name is not."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from storelog.local.servers import PROCESSES
from support.embedded import EmbeddedServers, new_settings
from support.http import Client
from support.system import ANN, System, wait_for

OURS = [
    "localhost", "LOCALHOST:8080", "localhost.", "shop.localhost", "127.0.0.1", "127.1.2.3:1",
    "[::1]", "[::1]:8080", "[0:0::1]", "[::ffff:127.0.0.1]", "localhost:",
]  # fmt: skip
OTHERS = [
    "evil.example", "evil.example:8080", "localhost.evil.example", "evil-localhost",
    "127.0.0.1.nip.io", "0.0.0.0", "192.168.1.2", "[::]", "[2001:db8::1]", "127.1", "2130706433",
    "0x7f.0.0.1", "", "localhost..", "%6cocalhost", "shop",
]  # fmt: skip
MALFORMED = [
    "a b", "ann@localhost", "localhost/", "http://localhost", "localhost:x", "localhost, evil",
    "localhost:80:80", "[::1", "::1", "loc\x80", "a\\b",
]  # fmt: skip
NAMED = ["shop.example", "commands.example", "reads.example", "10.0.0.7", "[fd00::7]"]


def _ask(url: str, target: str, *fields: str, version: str = "1.1") -> tuple[int, str]:
    """Send one request as it is; return its status and, of a problem, its slug."""
    address = urlsplit(url)
    lines = [f"GET {target} HTTP/{version}", *fields, "Connection: close", "", ""]
    with socket.create_connection((address.hostname, address.port), timeout=20) as raw:
        raw.sendall("\r\n".join(lines).encode("latin-1"))
        back = b""
        with suppress(ConnectionError):
            while chunk := raw.recv(65_536):
                back += chunk
    head, _, body = back.partition(b"\r\n\r\n")
    is_problem = b"application/problem+json" in head
    slug = json.loads(body)["type"].removeprefix("/problems/") if is_problem else ""
    return int(head[9:12]), slug


def _path(name: str) -> str:
    return {"command-service": "/events", "query-service": "/orders"}.get(name, "/metrics")


@pytest.mark.parametrize("name", PROCESSES)
def test_without_keys_only_hosts_that_are_ours_are_served_on_each_port(
    shop: System, name: str
) -> None:
    url, path = shop.url(name), _path(name)
    for host in OURS:
        assert _ask(url, path, f"Host: {host}") == (200, ""), host
    for host in OTHERS:
        assert _ask(url, path, f"Host: {host}") == (421, "misdirected-request"), host
    for host in MALFORMED:
        assert _ask(url, path, f"Host: {host}") == (400, "malformed-request"), host
    assert _ask(url, path, version="1.0") == (421, "misdirected-request")
    assert _ask(url, path) == (400, "malformed-request")


@pytest.mark.parametrize("name", PROCESSES)
def test_every_path_is_for_our_hosts_only_but_for_health(shop: System, name: str) -> None:
    for path in ("/", "/docs", "/openapi.json", "/problems/not-found", "/nothing", "/metrics"):
        assert _ask(shop.url(name), path, "Host: evil.example")[0] == 421, path
    for path in ("/health/live", "/health/ready"):
        for host in ("evil.example", "10.1.2.3:8080", ""):
            assert _ask(shop.url(name), path, f"Host: {host}") == (200, ""), path


@pytest.mark.parametrize("name", PROCESSES)
def test_the_host_of_an_absolute_target_counts_and_not_the_field(shop: System, name: str) -> None:
    url, path = shop.url(name), _path(name)
    assert _ask(url, "http://localhost", "Host: localhost") == (200, "")
    for host in ("localhost", "127.0.0.1:80", "[::1]"):
        assert _ask(url, f"http://{host}{path}", "Host: evil.example") == (200, "")
        assert _ask(url, f"HTTP://{host}{path}", version="1.0") == (200, "")
    for host in ("evil.example", "evil.example:80", "localhost.evil.example"):
        for target in (f"http://{host}{path}", f"https://{host}{path}?limit=1", f"http://{host}"):
            refused = (421, "misdirected-request")
            assert _ask(url, target, "Host: localhost") == refused, target
            assert _ask(url, target, version="1.0") == refused, target
    assert _ask(url, f"http://ann@localhost{path}", "Host: localhost")[0] == 400
    assert _ask(url, f"http://localhost{path}")[0] == 400, "HTTP/1.1 has a Host all the same"
    assert _ask(url, f"http://localhost{path}", "Host: a", "Host: b")[0] == 400
    offer = ("Host: localhost", "Connection: upgrade", "Upgrade: h2c")
    assert _ask(url, f"http://evil.example{path}", *offer)[0] == 421


def test_a_command_to_another_host_changes_nothing(shop: System) -> None:
    before = shop.written()
    refused = shop.commands.post("/customers", ANN, {"Host": "evil.example"})
    assert (refused.status, refused.slug) == (421, "misdirected-request")
    for method, path in (("PUT", "/customers/1"), ("DELETE", "/customers/1"), ("OPTIONS", "/")):
        reply = shop.commands.send(method, path, headers={"Host": "evil.example"})
        assert reply.status == 421
    assert shop.written() == before
    assert shop.commands.get("/problems/misdirected-request").json["status"] == 421


@pytest.fixture(scope="module")
def named(servers: EmbeddedServers) -> Iterator[System]:
    environment = {
        "STORELOG_ALLOWED_HOSTS": "Shop.example, 10.0.0.7,fd00:0::7",
        "STORELOG_COMMAND_URL": "http://commands.example:8080",
        "STORELOG_QUERY_URL": "https://reads.example/under",
        "STORELOG_CORS_ORIGINS": "https://page.example",
    }
    names = ("command-service", "query-service")
    with System(new_settings(servers), names, environment=environment) as system:
        yield system


@pytest.mark.parametrize("name", ["command-service", "query-service"])
def test_the_hosts_of_the_settings_are_served_too(named: System, name: str) -> None:
    url, path = named.url(name), _path(name)
    for host in NAMED:
        assert _ask(url, path, f"Host: {host}:1234") == (200, ""), host
    assert _ask(url, path, "Host: other.example")[0] == 421
    assert _ask(url, path, "Host: a.shop.example")[0] == 421
    # Who may call is another question than under which name.
    origin = "Origin: https://page.example"
    assert _ask(url, path, "Host: shop.example", origin)[0] == 200
    assert _ask(url, path, "Host: page.example", origin)[0] == 421


def test_once_there_is_a_key_it_protects_and_every_host_is_served(named: System) -> None:
    url = named.url("command-service")
    assert _ask(url, "/events", "Host: other.example")[0] == 421
    made = named.cli("keys", "create", "ann", "--role", "read", "--json")
    key = json.loads(made.stdout)["key"]
    wait_for(lambda: _ask(url, "/events", "Host: other.example")[0] == 401, "the key to hold")
    given = f"Authorization: Bearer {key}"
    assert _ask(url, "/events", "Host: other.example", given) == (200, "")
    assert _ask(url, "/events", "Host: a b", given) == (400, "malformed-request")


def test_with_a_star_every_host_is_served(servers: EmbeddedServers) -> None:
    environment = {"STORELOG_ALLOWED_HOSTS": "*", "STORELOG_ALLOW_ANONYMOUS": "true"}
    with System(new_settings(servers), ("command-service",), environment=environment) as system:
        client = Client(system.commands.url)
        assert client.get("/events", {"Host": "evil.example"}).status == 200
