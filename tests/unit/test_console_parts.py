"""The console's parts that need no server: sessions, cells, formats, vendored files, charts."""

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from storelog.client.problems import read_problem
from storelog.config import Settings
from storelog.console import command_side, static
from storelog.console.changes import stale_facts
from storelog.console.charts import bar_chart, step_chart
from storelog.console.formats import ago, money, size, words
from storelog.console.forms import Form, Origins, as_whole
from storelog.console.page import Templates
from storelog.console.reports import harmless
from storelog.errors import Forbidden, Unavailable
from storelog.web.auth import ANYBODY
from storelog.web.http import Caller, Request
from storelog.web.sessions import IDLE_SECONDS, MAX_SESSIONS, SESSION_SECONDS, Sessions

VENDOR = Path(static.__file__).parent / "static" / "vendor"


class Clock:
    def __init__(self) -> None:
        self.at = 1_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Iterator[Clock]:
    yield Clock()


def cookie_of(header: tuple[str, str]) -> dict[str, str]:
    return {"cookie": f"other=1; {header[1].partition(';')[0]}"}


def test_a_session_stands_for_its_key_until_it_ends(clock: Clock) -> None:
    sessions = Sessions(now=clock)
    header = sessions.begin("slk_secret")
    assert "slk_secret" not in header[1]
    assert {"HttpOnly", "SameSite=Strict", "Path=/console"} <= set(header[1].split("; "))
    assert sessions.key_of(cookie_of(header)) == "slk_secret"
    sessions.end(cookie_of(header))
    assert sessions.key_of(cookie_of(header)) is None
    assert sessions.key_of({"cookie": "storelog_console=guess"}) is None
    assert sessions.key_of({}) is None


def test_a_session_ends_when_it_is_idle_and_when_it_is_old(clock: Clock) -> None:
    sessions = Sessions(now=clock)
    idle, used = sessions.begin("a"), sessions.begin("b")
    steps = int(SESSION_SECONDS / (IDLE_SECONDS / 2))
    for _ in range(steps):
        assert sessions.key_of(cookie_of(used)) == "b"
        clock.at += IDLE_SECONDS / 2
    assert sessions.key_of(cookie_of(idle)) is None
    clock.at += 1
    assert sessions.key_of(cookie_of(used)) is None


def test_a_limited_number_of_sessions_is_kept_and_the_oldest_goes_first(clock: Clock) -> None:
    sessions = Sessions(now=clock)
    headers = [sessions.begin(f"key {n}") for n in range(MAX_SESSIONS + 1)]
    assert sessions.key_of(cookie_of(headers[0])) is None
    assert sessions.key_of(cookie_of(headers[1])) == "key 1"


def test_under_tls_the_cookie_is_a_host_cookie() -> None:
    header = Sessions(is_secure=True).begin("a")[1]
    assert header.startswith("__Host-storelog_console=")
    assert {"Secure", "Path=/", "HttpOnly", "SameSite=Strict"} <= set(header.split("; "))


def asked_from(origin: str | None) -> Request:
    headers = {"host": "evil.example"} | ({} if origin is None else {"origin": origin})
    return Request("POST", "/console/sign-in", {}, {}, headers, b"", ANYBODY, "c")


@pytest.mark.parametrize(
    "origin", ["http://127.0.0.1:8081", "http://localhost:8081", "https://shop.example"]
)
def test_a_write_from_a_configured_origin_is_taken(origin: str) -> None:
    Origins(Settings(console_origins=("https://shop.example",))).check(asked_from(origin))


@pytest.mark.parametrize(
    "origin",
    [None, "null", "http://evil.example", "http://127.0.0.1:8080", "https://localhost:8081", ""],
)
def test_a_write_from_another_origin_or_none_is_rejected(origin: str | None) -> None:
    with pytest.raises(Forbidden):
        Origins(Settings()).check(asked_from(origin))


def test_only_an_address_with_tls_makes_cookies_secure() -> None:
    assert not Origins(Settings()).is_secure
    assert Origins(Settings(query_url="https://shop.example")).is_secure


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-2", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_cell_that_a_spreadsheet_would_compute_is_made_harmless(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["Cake stand", "1.50", "2026-01-02", "", "a=1"])
def test_any_other_cell_stays_as_it_is(cell: str) -> None:
    assert harmless(cell) == cell
    assert harmless(None) == ""


def test_values_look_as_people_read_them() -> None:
    assert money("1234567.5000") == "1,234,567.5000"
    assert money("4.25") == "4.25"
    assert [size(n) for n in (None, 5, 2_048, 5 * 2**20, 3 * 2**30)] == [
        "not known",
        "5 bytes",
        "2.0 KiB",
        "5.0 MiB",
        "3.0 GiB",
    ]
    assert words("ProductUpdated") == "Product updated"
    assert [ago(n) for n in (5, 60, 7_200, 90_000)] == [
        "just now",
        "1 minute ago",
        "2 hours ago",
        "1 day ago",
    ]


def test_what_was_typed_is_a_number_only_where_it_is_one() -> None:
    assert [as_whole(t) for t in ("5", "-3", "007")] == [5, -3, 7]
    assert [as_whole(t) for t in ("", "x", "1.5", "٣", "9" * 19)] == ["", "x", "1.5", "٣", "9" * 19]


def test_an_aggregate_is_a_link_only_where_the_console_has_its_page() -> None:
    templates = Templates(Settings(), lambda: 9)._environment
    macros: Any = templates.get_template("macros.html").module
    aggregate = macros.aggregate
    assert str(aggregate("product-5")) == '<a href="/console/products/5">product-5</a>'
    assert str(aggregate("product-5", 7)) == (
        '<a href="/console/products/5?asOf=7">product-5 as it was then</a>'
    )
    assert (str(aggregate("supplier-5")), str(aggregate("supplier-5", 7))) == ("supplier-5", "")


def page_of(path: str, template: str, query: dict[str, str], **facts: Any) -> str:
    request: Any = SimpleNamespace(path=path, query=query, caller=Caller("ann", "read"))
    body = Templates(Settings(), lambda: 9).page(request, template, **facts).body
    assert isinstance(body, bytes)
    return body.decode()


def test_an_overview_that_follows_the_shop_can_be_held() -> None:
    totals = {"totalSales": "0.0000", "orders": 0, "unitsSold": 0}
    facts: dict[str, Any] = {"today": totals, "in_all": totals, "per_minute": 0, "orders": []}
    hold = '<a href="/console?asOf=7">Hold this moment</a>'
    assert hold in page_of("/console/now", "now.html", {}, **facts, position=7)
    for query, position in (({"asOf": "7"}, 7), ({}, 0)):
        assert "Hold" not in page_of("/console/now", "now.html", query, **facts, position=position)


def log_page(**query: str) -> str:
    event = {
        "position": 7,
        "recordedAt": "2026-01-02T03:04:05.000Z",
        "eventType": "ProductUpdated",
        "aggregate": "product-5",
        "version": 2,
        "correlationId": "of <7>",
    }
    page = {"items": [event], "nextBefore": None}
    return page_of("/console/log", "log.html", query, page=page, types=())


def test_the_log_follows_what_is_appended_until_its_user_holds_or_searches_it() -> None:
    page = log_page()
    assert 'data-live="/console/live" hx-get="/console/log" hx-select="#events &gt; *"' in page
    assert '<a href="/console/log?before=8">Hold these</a>' in page
    for query in ({"before": "8"}, {"caller": "ann"}, {"asOf": "7"}):
        assert "data-live" not in log_page(**query) and "Hold these" not in log_page(**query)


def test_links_of_the_log_keep_the_moment() -> None:
    main = log_page(asOf="7").partition("<main")[2].partition("</main>")[0]
    assert '<input type="hidden" name="asOf" value="7">' in main
    links = re.findall(r'href="([^"]+)"', main)
    assert links == [
        "/console/log?asOf=7",
        "/console/operations?asOf=7#results",
        "/console/log/7?asOf=7",
        "/console/products/5?asOf=7",
        "/console/log?asOf=7&amp;correlationId=of+%3C7%3E",
    ]


def test_a_field_that_a_form_does_not_show_is_none_that_its_user_changed() -> None:
    found = {"type": "/problems/stale-version", "detail": "stale", "currentVersion": 3}
    problem = read_problem(409, json.dumps(found).encode())
    facts = stale_facts(problem, Form([("name", " Bowl "), ("sku", "")]), ("name", "sku", "colour"))
    assert facts["stale"] == {"name": "Bowl", "sku": ""}


def test_what_a_page_can_do_without_keeps_it_waiting_for_a_short_time_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command_side, "GLANCE_SECONDS", 0.01)

    async def never() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def at_once() -> dict[str, Any]:
        return {"position": 5}

    async def away() -> dict[str, Any]:
        raise Unavailable("It is away.")

    assert asyncio.run(command_side.soon_or_none(never())) is None
    assert asyncio.run(command_side.soon_or_none(away())) is None
    assert asyncio.run(command_side.soon_or_none(at_once())) == {"position": 5}


def test_a_chart_has_a_bar_for_each_day_and_the_highest_fills_it() -> None:
    chart = bar_chart([date(2026, 1, 1), date(2026, 1, 2)], [Decimal(1), Decimal(4)])
    assert [bar.height for bar in chart.bars] == [40.0, 160.0]
    assert json.loads(chart.series)[1] == [1.0, 4.0]
    assert bar_chart([], []).bars == []
    assert [bar.height for bar in bar_chart([date(2026, 1, 1)], [Decimal(0)]).bars] == [0.0]


def test_steps_go_through_every_point_to_the_end() -> None:
    points = [("2026-01-01T00:00:00.000Z", Decimal(10)), ("2026-01-02T00:00:00.000Z", Decimal(5))]
    assert step_chart(points, "Stock").line == "M0.0 2.0H720.0V80.0H720"


def test_vendored_files_are_the_ones_that_are_named_with_their_licences() -> None:
    packages = json.loads((VENDOR / "VENDORED.json").read_text("utf-8"))
    listed = {"VENDORED.json"}
    for package in packages:
        assert package["version"] and package["licence"] in ("0BSD", "MIT")
        assert any(wanted["from"] == "LICENSE" for wanted in package["files"].values())
        for name, wanted in package["files"].items():
            assert sha256((VENDOR / name).read_bytes()).hexdigest() == wanted["sha256"], name
            listed.add(name)
    assert {path.name for path in VENDOR.iterdir()} == listed
    assert {n.removeprefix("vendor/") for n in static.FILES if "/" in n} <= listed


def test_no_template_has_a_script_or_a_style_of_its_own_or_loads_from_elsewhere() -> None:
    folder = Path(static.__file__).parent / "templates"
    for template in folder.glob("*.html"):
        text = template.read_text("utf-8")
        assert "<style" not in text and " style=" not in text, template.name
        assert "javascript:" not in text and not re.search(r"\son[a-z]+=", text), template.name
        assert text.count("<script ") == text.count('<script src="{{ static('), template.name
        assert "|safe" not in text.replace(" ", ""), template.name
        outside = text.replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in outside and "https://" not in outside, template.name
