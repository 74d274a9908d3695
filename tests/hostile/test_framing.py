"""Requests that offer to upgrade, by real clients and on all four ports."""

import json
import shutil
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from storelog.local.servers import PROCESSES
from support import java
from support.system import ANN, System

H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
INNER = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
TIMES = 5


def _responses(url: str, pieces: list[bytes]) -> bytes:
    """Send each piece in a packet of its own, and the end; return everything that came back."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = b""
        with suppress(ConnectionError):
            for piece in pieces:
                raw.sendall(piece)
            while chunk := raw.recv(65_536):
                back += chunk
        return back


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_on_all_four_ports_the_body_of_a_request_that_offers_to_upgrade_is_no_request(
    shop: System, name: str, version: str
) -> None:
    head = f"POST /nothing HTTP/{version}\r\nHost: localhost\r\n".encode() + H2C
    head += b"Content-Length: %d\r\n\r\n" % len(INNER)
    for pieces in ([head + INNER, LAST], [head, INNER, LAST], [head, INNER[:9], INNER[9:] + LAST]):
        back = _responses(shop.url(name), pieces)
        assert back.startswith(b"HTTP/1.1 404 ")
        assert back.count(b"HTTP/1.1 200 ") == (version == "1.1")
        assert back.count(b"HTTP/1.1 ") == 1 + (version == "1.1")


@pytest.mark.parametrize("name", PROCESSES)
def test_on_all_four_ports_connect_is_405_and_the_connection_closes(
    shop: System, name: str
) -> None:
    head = b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n" + H2C + b"\r\n"
    back = _responses(shop.url(name), [head, LAST])
    assert back.startswith(b"HTTP/1.1 405 ")
    assert back.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_command_in_the_body_of_another_that_offers_to_upgrade_is_not_executed(
    shop: System, version: str
) -> None:
    victim = f"/customers/{shop.new_customer()['customerId']}"
    inner = f"DELETE {victim} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    head = f"POST /customers HTTP/{version}\r\nHost: localhost\r\n".encode() + H2C
    head += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(inner)
    for at in range(0, len(inner), 7):
        back = _responses(shop.url("command-service"), [head, inner[:at], inner[at:] + LAST])
        assert back.startswith(b"HTTP/1.1 400 ")
        assert b"HTTP/1.1 204 " not in back
    assert shop.commands.put(victim, ANN).status == 200


def _by_java(url: str, body: Path, home: Path) -> list[str]:
    java.compile_java(Path(__file__).with_name("Post.java"), home)
    said = java.run(["-cp", str(home), "Post", url, str(TIMES)], body.read_bytes())
    lines = [line.split(" ", 2) for line in said.splitlines()]
    assert [(status, version) for status, version, _ in lines] == [("201", "HTTP_1_1")] * TIMES
    return [made for _, _, made in lines]


def _by_curl(url: str, body: Path, _home: Path) -> list[str]:
    one = ["-H", "Content-Type: application/json", "--data-binary", f"@{body}", url]
    each = ["--next", "--http2", "-sS", "-w", "\n%{http_code} %{http_version}\n", *one]
    done = subprocess.run(
        ["curl", "-sS", *each * TIMES], capture_output=True, text=True, timeout=60, check=False
    )
    lines = done.stdout.splitlines()
    assert lines[1::2] == ["201 1.1"] * TIMES, done
    return lines[::2]


REAL = {"java": _by_java} | ({"curl": _by_curl} if shutil.which("curl") else {})


@pytest.mark.parametrize("client", REAL)
@pytest.mark.parametrize("size", [0, 300_000])
def test_real_clients_that_offer_http_2_place_their_orders(
    shop: System, tmp_path: Path, client: str, size: int
) -> None:
    made = {"productId": shop.new_product(stock=100)["productId"], "quantity": 1}
    order = {"customerId": shop.new_customer()["customerId"], "orderItems": [made]}
    body = tmp_path / "order.json"
    body.write_text(json.dumps(order) + " " * size)
    responses = REAL[client](f"{shop.url('command-service')}/orders", body, tmp_path)
    assert len({json.loads(response)["orderId"] for response in responses}) == TIMES
