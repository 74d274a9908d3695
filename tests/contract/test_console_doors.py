"""The console's doors: sessions, origins, roles, and pages that run nothing of others."""

import re
from hashlib import sha256

import pytest

from storelog.console.static import FILES, address
from support.console import PAGES, Browser
from support.embedded import EmbeddedServers, new_settings
from support.http import Client
from support.system import System, wait_for


@pytest.fixture(scope="module")
def kept(keyed_shop: System) -> System:
    """The shared shop with a key of each role."""
    return keyed_shop


@pytest.fixture(scope="module")
def writer(kept: System) -> Browser:
    """Who is signed in with the role write."""
    return Browser(kept, "write")


def test_without_a_session_every_page_leads_to_sign_in_and_shows_nothing(kept: System) -> None:
    stranger = Browser(kept)
    for path in (*PAGES, "/orders/1", "/live"):
        reply = stranger.open(path)
        assert (reply.status, reply.raw) == (303, b""), path
        assert reply.headers["location"].startswith("/console/sign-in?next=%2Fconsole")
    stranger.headers["Cookie"] = "storelog_console=guessed"
    assert stranger.open("/orders").status == 303
    assert "API key" in stranger.page("/sign-in")


def test_a_page_that_is_not_there_is_said_on_a_page_of_the_console(kept: System) -> None:
    stranger = Browser(kept)
    for path in ("/nowhere", "/orders/x", "/products/1/2/3/4"):
        reply = stranger.open(path)
        assert (reply.status, reply.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "Nothing was found at this path." in reply.raw.decode()
    put = Client(kept.settings.query_url).send("PUT", "/console/orders")
    assert (put.status, put.headers["allow"]) == (405, "GET, HEAD")
    assert Client(kept.settings.query_url).get("/orders/x").slug == "not-found"


@pytest.mark.parametrize("key", ["wrong", "", "a b", "\u00e9", "x" * 5_000])
def test_a_wrong_key_begins_no_session_and_is_not_shown(kept: System, key: str) -> None:
    reply = Browser(kept).submit("/sign-in", {"key": key})
    assert reply.status == 401
    assert "set-cookie" not in reply.headers
    assert not key or f'value="{key}' not in reply.raw.decode()


@pytest.mark.parametrize(
    "place",
    ["https://evil.example", "//evil.example", "/console@evil", "/orders", "/console\nX: y"],
)
def test_signing_in_leads_to_no_other_site(kept: System, place: str) -> None:
    reply = Browser(kept).submit("/sign-in", {"key": "read", "next": place})
    assert (reply.status, reply.headers["location"]) == (303, "/console")


def test_the_cookie_is_a_session_for_pages_only_and_ends(kept: System) -> None:
    reply = Browser(kept).submit("/sign-in", {"key": "write", "next": "/console"})
    cookie = reply.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/console"} <= set(cookie.split("; "))
    assert "write" not in cookie
    browser = Browser(kept)
    browser.headers["Cookie"] = cookie.partition(";")[0]
    assert "write-er" in browser.page("")
    api = Client(browser.url).get("/orders", browser.headers)
    assert (api.status, api.slug) == (401, "unauthenticated")
    ended = browser.submit("/sign-out", {})
    assert "Max-Age=0" in ended.headers["set-cookie"]
    assert browser.open("").status == 303


def test_a_revoked_key_ends_its_sessions(kept: System) -> None:
    made = kept.commands.post("/keys", {"name": "soon-gone", "role": "read"}).json
    reader = Client(kept.settings.query_url, made["key"])
    wait_for(lambda: reader.get("/products").status == 200, "the key in MongoDB", 20)
    browser = Browser(kept, made["key"])
    assert browser.open("/products").status == 200
    session = browser.headers["Cookie"].partition("=")[2]
    for name in ("query-service", "command-service"):
        logged = "\n".join(kept.log_lines(name))
        assert made["key"] not in logged and session not in logged
    kept.commands.post("/keys/revocations", {"name": "soon-gone"})
    wait_for(lambda: browser.open("/products").status == 303, "the session to end", 20)


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", ""])
@pytest.mark.parametrize(
    "path", ["/sign-in", "/sign-out", "/customers/new", "/orders/new", "/products/1/stock"]
)
def test_a_write_without_the_consoles_own_origin_is_forbidden(
    kept: System, writer: Browser, path: str, origin: str | None
) -> None:
    before = kept.written()
    fields = {"key": "write", "name": "Mallory", "email": "m@x", "delta": "1", "reason": "x"}
    reply = writer.submit(path, fields, origin)
    assert reply.status == 403
    assert "set-cookie" not in reply.headers
    assert kept.written() == before


def test_pages_run_nothing_of_others_and_escape_every_value(kept: System) -> None:
    admin = Browser(kept, "admin")
    for path in (*PAGES, "/orders/1", "/products/1", "/customers/1", "/log/1", "/operations/keys"):
        reply = admin.open(path)
        page = reply.raw.decode()
        assert reply.status == 200, (path, page[-900:])
        assert reply.headers["content-security-policy"].startswith("default-src 'self';")
        assert "unsafe" not in reply.headers["content-security-policy"]
        assert reply.headers["cache-control"] == "no-store"
        assert "alert(1)</script>" not in page, path
        assert not re.search(r"<script(?! src)|<style|\sstyle=|\son[a-z]+=", page), path
        assert not re.search(r"slk_|password=|[?&]key=", page), path
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in admin.page("/products/1")


def test_every_file_of_the_pages_is_served_for_ever_under_its_hash(kept: System) -> None:
    page = Browser(kept).page("/sign-in")
    for name, kind in FILES.items():
        place = address(name)
        assert place in page
        reply = Client(kept.settings.query_url).get(place)
        assert (reply.status, reply.headers["content-type"]) == (200, kind)
        assert "immutable" in reply.headers["cache-control"]
    other = Client(kept.settings.query_url).get("/console/static/console.css?v=0")
    assert other.status == 404


def test_what_a_role_may_not_do_is_not_offered_and_is_rejected(kept: System) -> None:
    reader, before = Browser(kept, "read"), kept.written()
    for path in ("", "/orders/1", "/products/1", "/customers/1"):
        page = reader.page(path)
        assert page.count('method="post"') == page.count('action="/console/sign-out"') == 1
    assert "read-er" in reader.page("") and "/operations/keys" not in reader.page("/operations")
    assert reader.submit("/customers/new", {"name": "A", "email": "a@b"}).status == 403
    assert reader.open("/orders/new").status == 403
    writer = Browser(kept, "write")
    assert writer.open("/operations/keys").status == 403
    assert writer.submit("/operations/keys", {"name": "x", "role": "admin"}).status == 403
    assert kept.written() == before


def test_a_browser_is_led_from_the_root_to_the_console_and_a_program_is_not(kept: System) -> None:
    root = Client(kept.settings.query_url)
    browser = root.get("/", {"Accept": "text/html,*/*;q=0.8"})
    assert (browser.status, browser.headers["location"]) == (303, "/console")
    program = root.get("/")
    assert program.json["name"] == "storelog query-service"
    assert program.headers["etag"]
    assert "Accept" in program.headers["vary"].split(", ")


def test_without_keys_the_console_is_open_on_loopback_only(shop: System) -> None:
    browser = Browser(shop)
    assert "No keys" in browser.page("")
    spoofed = browser.open("", {"Host": "shop.example"})
    assert spoofed.status in (403, 421)


def test_a_setting_switches_the_console_off(servers: EmbeddedServers) -> None:
    settings = new_settings(servers)
    environment = {"STORELOG_CONSOLE": "false"}
    with System(settings, ("query-service",), environment) as system:
        assert system.queries.get("/console").status == 404
        assert system.queries.get("/", {"Accept": "text/html"}).status == 200


def test_rate_limits_count_pages_like_requests_and_signing_in_too(
    servers: EmbeddedServers,
) -> None:
    keys = ",".join(f"{name}:read:{sha256(name.encode()).hexdigest()}" for name in ("one", "two"))
    environment = {"STORELOG_API_KEYS": keys, "STORELOG_RATE_LIMIT_PER_KEY": "5/hour"}
    with System(new_settings(servers), ("query-service",), environment) as system:
        first, second = Browser(system, "one"), Browser(system, "two")
        statuses = [first.open("/orders").status for _ in range(6)]
        assert 429 not in statuses[:5] and statuses[5] == 429
        rejected = first.open("/orders")
        assert rejected.headers["content-type"] == "text/html; charset=utf-8"
        assert int(rejected.headers["retry-after"]) > 0
        assert Client(system.settings.query_url, "one").get("/orders").status == 429
        assert second.open("/orders").status != 429
        guesses = [first.submit("/sign-in", {"key": f"guess{n}"}).status for n in range(6)]
        assert set(guesses) == {401, 429}
