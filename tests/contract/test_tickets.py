"""Tickets for /live: in place of a key, on any Query Service, for a minute, until it is revoked."""

import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from storelog.client import Storelog
from storelog.setting_types import ApiKey
from storelog.web import tickets
from support.browser import browsing
from support.embedded import EmbeddedServers, new_settings
from support.http import Client
from support.live import LiveReader
from support.system import ANN, System, wait_for

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "live-in-a-browser.md"
READER = ApiKey("reader", "read", sha256(b"r").hexdigest())
# What the documented page shows is told to the test.
TELL = """<script>
const shown = () => [...document.querySelectorAll("li")].map(li => li.textContent);
const tell = () => fetch("/shown", { method: "POST", body: JSON.stringify(shown()) });
new MutationObserver(tell).observe(document.querySelector("ol"), { childList: true });
</script>"""


class Pages(ThreadingHTTPServer):
    """A shop's own web server: one page, and what it shows now."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _PageHandler)
        self.page = ""
        self.shown: list[str] = []
        self.origin = f"http://127.0.0.1:{self.server_port}"


class _PageHandler(BaseHTTPRequestHandler):
    server: Pages

    def do_GET(self) -> None:
        body = self.server.page.encode() if self.path == "/" else b""
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.server.shown = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture(scope="module")
def pages() -> Iterator[Pages]:
    with Pages() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def keyed(servers: EmbeddedServers, pages: Pages) -> Iterator[System]:
    """A system with the keys `r` (read) and `w` (write), and one page of another origin."""
    keys = f"reader:read:{READER.sha256},writer:write:{sha256(b'w').hexdigest()}"
    environment = {"STORELOG_API_KEYS": keys, "STORELOG_CORS_ORIGINS": pages.origin}
    with System(new_settings(servers), environment=environment, key="w") as system:
        yield system


def ticket_of(url: str, key: str | None) -> str:
    reply = Client(url, key).send("POST", "/live/tickets", raw=b"")
    assert reply.status == 201, reply.raw
    assert reply.headers["cache-control"] == "no-store"
    assert reply.position >= 0
    text: str = reply.json["ticket"]
    return text


def test_any_query_service_takes_a_ticket_in_place_of_a_key(keyed: System) -> None:
    ticket = ticket_of(keyed.queries.url, "r")
    keys = {"STORELOG_API_KEYS": keyed.environment["STORELOG_API_KEYS"]}
    with System(keyed.settings, ("query-service",), keys) as other:
        for url in (keyed.queries.url, other.queries.url):
            assert gets_a_change(keyed, url, f"/live?topics=customers&ticket={ticket}")


def gets_a_change(keyed: System, url: str, path: str) -> bool:
    with LiveReader(url, path) as reader:
        wait_for(lambda: reader.last_id is not None, "the first heart-beat")
        made = keyed.commands.post("/customers", ANN)
        wait_for(lambda: reader.events, "a change")
        return reader.events[0][0] == made.position


def test_a_ticket_that_is_no_good_is_401_and_is_repeated_nowhere(keyed: System) -> None:
    good = ticket_of(keyed.queries.url, "r")
    old, _ = tickets.issue(READER, time.time() - tickets.GOOD_FOR_SECONDS - 1)
    other, _ = tickets.issue(ApiKey("reader", "read", sha256(b"x").hexdigest()), time.time())
    free, _ = tickets.issue(tickets.NO_KEY, time.time())
    later = re.sub(r"^\d{13}", lambda ms: str(int(ms[0]) + 60_000), good)
    named = good.replace(".reader", ".writer")
    for text in (old, other, free, later, named, good[:-1], "x", "", f"{good}%00"):
        with LiveReader(keyed.queries.url, f"/live?ticket={text}") as reader:
            refusal = reader.refusal
        assert (refusal.status, refusal.slug) == (401, "unauthenticated"), text
        assert refusal.json["instance"] == "/live"
    # It opens nothing else, and is no key.
    for path in (f"/orders?ticket={good}", f"/customers?ticket={good}"):
        assert keyed.queries.send("GET", path, headers={"Authorization": ""}).status == 401
    bearer = {"Authorization": f"Bearer {good}"}
    assert keyed.queries.get("/live", bearer).status == 401
    assert keyed.commands.get(f"/events?ticket={good}", {"Authorization": ""}).status == 401
    logs = "".join(keyed.log(name) for name in ("query-service", "command-service"))
    assert not [text for text in (good, old, other) if text.split(".")[1] in logs]


def test_only_who_may_read_is_given_a_ticket(keyed: System) -> None:
    assert Client(keyed.queries.url).send("POST", "/live/tickets").status == 401
    assert Client(keyed.queries.url, "x").send("POST", "/live/tickets").status == 401
    assert ticket_of(keyed.queries.url, "w").endswith(".writer")
    reply = Client(keyed.queries.url, "r").send("POST", "/live/tickets", {})
    assert (reply.status, reply.slug) == (400, "malformed-request")
    with Storelog(keyed.commands.url, keyed.queries.url, "r") as client:
        given = client.live_ticket()
        with LiveReader(keyed.queries.url, f"/live?ticket={given.ticket}") as reader:
            assert int(reader.said["storelog-position"]) >= given.position


def test_a_stream_that_a_ticket_has_opened_ends_when_the_key_is_revoked(keyed: System) -> None:
    made = keyed.cli("keys", "create", "shown", "--role", "read", "--json")
    key = json.loads(made.stdout)["key"]
    service = Client(keyed.queries.url, key)
    wait_for(lambda: service.get("/products").status == 200, "the key", 20)
    ticket = ticket_of(keyed.queries.url, key)
    with LiveReader(keyed.queries.url, f"/live?ticket={ticket}") as reader:
        wait_for(lambda: reader.last_id is not None, "the first heart-beat")
        assert keyed.cli("keys", "revoke", "shown").returncode == 0
        wait_for(lambda: reader.is_over, "the end", 20)
    with LiveReader(keyed.queries.url, f"/live?ticket={ticket}") as reader:
        assert reader.refusal.status == 401


def test_without_any_keys_tickets_work_as_well(shop: System) -> None:
    ticket = ticket_of(shop.queries.url, None)
    with LiveReader(shop.queries.url, f"/live?ticket={ticket}") as reader:
        wait_for(lambda: reader.last_id is not None, "the first heart-beat")
    with LiveReader(shop.queries.url, "/live?ticket=x") as reader:
        assert reader.refusal.status == 401


def changes(shop: System, path: str) -> list[tuple[int, str, str]]:
    with LiveReader(shop.queries.url, path) as reader:
        wait_for(lambda: len(reader.events) == 2, "the changes")
        return reader.events


def test_unnamed_events_are_the_same_changes_without_a_name(shop: System) -> None:
    after = shop.written()
    shop.new_product()
    shop.new_customer()
    found = [changes(shop, f"/live?after={after}&events={kind}") for kind in ("named", "unnamed")]
    named, unnamed = found
    assert [(number, "", data) for number, _, data in named] == unnamed
    assert [kind for _, kind, _ in named] == ["ProductCreated", "CustomerCreated"]
    reply = shop.queries.get("/live?events=all")
    assert (reply.status, reply.pointers) == (422, ["?events"])


def test_the_documented_page_shows_each_change_once_in_a_browser(
    keyed: System, pages: Pages
) -> None:
    found = re.search(r"```html\n(.*?)```", HOW_TO.read_text("utf-8"), re.DOTALL)
    assert found is not None
    page = found[1].replace("http://127.0.0.1:8081", keyed.queries.url).replace('"KEY"', '"r"')
    assert page.count("\n") <= 20
    pages.page = page + TELL
    made: list[int] = []

    def create() -> None:
        made.append(keyed.commands.post("/customers", ANN).position)

    def shown() -> list[int]:
        return [int(text.split()[0]) for text in pages.shown]

    def has_begun() -> bool:
        create()
        return bool(shown())

    with browsing(f"{pages.origin}/"):
        wait_for(has_begun, "the page to show a change", 60)
        # Its stream breaks off; what happens meanwhile is shown as well.
        keyed.signal("query-service", signal.SIGKILL)
        keyed.exit_code("query-service")
        create()
        keyed.start("query-service")
        keyed.wait_ready("query-service")
        create()
        wait_for(lambda: shown()[-1] == made[-1], "all changes", 60)
    assert shown() == made[made.index(shown()[0]) :]
