"""The console in a real Chromium: each page, by keyboard, without scripts, and live."""

import csv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256

import pytest
from playwright.sync_api import Browser

from storelog.config import Settings
from storelog.local.servers import PROCESSES
from support.browser_pages import Scheme, a_browser, barriers, signed_in
from support.console import NAME
from support.embedded import EmbeddedServers, new_settings
from support.poison import PoisonRelay
from support.projected import verified
from support.system import ANN, System, trade

PAGES = (
    "",
    "/orders",
    "/orders/1",
    "/orders/new",
    "/products",
    "/products/1",
    "/products/new",
    "/customers",
    "/customers/1",
    "/customers/new",
    "/reports",
    "/reports?by=products",
    "/reports?by=customers",
    "/log",
    "/log/1",
    "/operations",
    "/operations/keys",
    "/orders/1?asOf=3",
    "/sign-in",
)
# As a browser tells a page that its tab was hidden or shown.
HIDDEN = """is_hidden => {
  Object.defineProperty(document, "hidden", {value: is_hidden, configurable: true});
  document.dispatchEvent(new Event("visibilitychange"));
}"""
pytestmark = pytest.mark.alone


def with_key(settings: Settings, processes: tuple[str, ...] = PROCESSES) -> System:
    """Return a system with the key `admin`; its Query Service knows where the projector listens."""
    keys = {"STORELOG_API_KEYS": f"boss:admin:{sha256(b'admin').hexdigest()}"}
    system = System(settings, processes, keys, key="admin")
    system.settings = replace(
        system.settings, relay_url=system.url("relay"), projector_url=system.url("projector")
    )
    return system


@pytest.fixture(scope="module")
def kept(servers: EmbeddedServers) -> Iterator[System]:
    """A shop for all."""
    with with_key(new_settings(servers)) as system:
        product, customer = system.new_product(name=NAME), system.new_customer(name=NAME)
        system.new_order(customer["customerId"], (product["productId"], 2))
        for price in ("3", "4.5"):
            body = {"name": NAME, "price": price}
            last = system.commands.put(f"/products/{product['productId']}", body)
        system.wait_projected(last.position)
        yield system


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all."""
    with a_browser() as browser:
        yield browser


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_open_to_everybody_and_says_nothing_in_its_console(
    kept: System, browser: Browser, width: int, scheme: Scheme
) -> None:
    url = kept.settings.query_url
    with signed_in(browser, url, "admin", width, scheme) as (page, said):
        found: list[str] = []
        for path in PAGES:
            reply = page.goto(f"{url}/console{path}")
            assert reply is not None and reply.status == 200, path
            found += barriers(page)
            if page.evaluate("document.documentElement.scrollWidth") > width:
                found.append(f"{path} is wider than the window")
        assert not found
        assert not said


def test_an_order_is_placed_by_keyboard_alone_and_is_found(kept: System, browser: Browser) -> None:
    url = kept.settings.query_url
    with signed_in(browser, url, "admin") as (page, said):
        page.goto(f"{url}/console/orders/new")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.type("1")
        page.keyboard.press("Tab")
        page.keyboard.type("1")
        page.keyboard.press("Tab")
        page.keyboard.press("Control+A")
        page.keyboard.type("2")
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/orders/*?position=*")
        assert "9.00" in page.inner_text("main")
        number = page.inner_text("h1").removeprefix("Order ")
        page.goto(f"{url}/console/orders?customerId=1")
        assert page.locator(f"td a[href='/console/orders/{number}']").count() == 1
        assert not said


def test_a_stale_change_shows_both_versions(kept: System, browser: Browser) -> None:
    url, product = kept.settings.query_url, kept.new_product(name="Lamp")
    number = product["productId"]
    with signed_in(browser, url, "admin") as (page, _):
        page.goto(f"{url}/console/products/{number}?position=1")
        page.wait_for_selector("text=Lamp")
        changed = kept.commands.put(f"/products/{number}", {"name": "Theirs", "price": "2"})
        kept.wait_projected(changed.position)
        page.fill("form[action$='/change'] input[name=name]", "Mine")
        page.click("form[action$='/change'] button")
        page.wait_for_selector("text=Two versions")
        shown = page.inner_text("main")
        assert "Theirs" in shown and "Mine" in shown


def test_the_overview_follows_the_shop_and_charts_can_be_read_off(
    kept: System, browser: Browser
) -> None:
    url = kept.settings.query_url
    with signed_in(browser, url, "admin") as (page, said):
        page.goto(f"{url}/console")
        page.wait_for_selector(".u-wrap")
        # The second one comes while the page has just been updated for the first.
        for _ in range(2):
            order = kept.new_order(1, (1, 1))["orderId"]
            page.wait_for_selector(f"#now a[href='/console/orders/{order}']")
        assert not said


def test_the_log_follows_the_shop_until_it_is_held_and_a_hidden_tab_has_no_stream(
    kept: System, browser: Browser
) -> None:
    url = kept.settings.query_url
    with signed_in(browser, url, "admin") as (page, said):
        page.goto(f"{url}/console/log")
        for _ in range(2):
            position = kept.commands.post("/customers", ANN).position
            page.wait_for_selector(f"#events a[href='/console/log/{position}']")
        assert page.locator("#events table").count() == 1
        page.focus("#events a")
        position = kept.commands.post("/customers", ANN).position
        kept.wait_projected(position)
        assert page.evaluate("document.activeElement.closest('#events') !== null")
        page.focus("main select")
        page.wait_for_selector(f"#events a[href='/console/log/{position}']")
        for is_hidden, streams in ((True, 0), (False, 1)):
            page.evaluate(HIDDEN, is_hidden)
            assert page.locator("[sse-connect]").count() == streams
        page.click("text=Hold these")
        page.wait_for_url(f"**/console/log?before={position + 1}")
        assert page.locator("[data-live]").count() == 0
        assert not said


@pytest.mark.parametrize("report", ["products", "customers", "days"])
def test_a_report_is_downloaded_and_none_of_its_cells_is_a_formula(
    kept: System, browser: Browser, report: str
) -> None:
    url, formula = kept.settings.query_url, '=HYPERLINK("http://evil.example")'
    product, customer = kept.new_product(name=formula), kept.new_customer(name="@SUM(A1)")
    line = {"productId": product["productId"], "quantity": 1}
    order = {"customerId": customer["customerId"], "orderItems": [line]}
    kept.wait_projected(kept.commands.post("/orders", order).position)
    with signed_in(browser, url, "admin") as (page, said):
        page.goto(f"{url}/console/reports?by={report}")
        with page.expect_download() as download:
            page.click("a[href*='/reports/csv']")
        assert download.value.suggested_filename == f"{report}.csv"
        text = download.value.path().read_text("utf-8-sig")
        assert not said
    cells = [cell for row in csv.reader(text.splitlines()) for cell in row]
    shown = {"products": f"'{formula}", "customers": "'@SUM(A1)", "days": "Day"}
    assert shown[report] in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


def poison(system: System) -> int:
    """Send the log with one order that is no event; return its position."""
    relay = PoisonRelay(system)
    dead = next(o for o in relay.outgoing if o.event.event_type == "OrderCreated").event
    relay.send_with({dead.position: (b"not json", dead.aggregate.encode(), {})})
    return dead.position


def test_a_dead_letter_is_looked_at_and_retried(servers: EmbeddedServers, browser: Browser) -> None:
    # In a thread of their own, since Playwright's loop runs in this one.
    with (
        ThreadPoolExecutor(1) as apart,
        with_key(
            apart.submit(new_settings, servers).result(),
            ("command-service", "projector", "query-service"),
        ) as system,
    ):
        trade(system)
        dead = apart.submit(poison, system).result()
        apart.submit(system.wait_projected).result()
        url = system.settings.query_url
        with signed_in(browser, url, "admin") as (page, said):
            page.goto(f"{url}/console/operations")
            found = barriers(page)
            page.click(f"a[href$='dead-letter?id={dead}']")
            page.wait_for_selector("text=not json")
            assert not found + barriers(page)
            page.click("form[action$='/retry'] button")
            page.wait_for_url("**/console/operations")
            page.wait_for_selector("text=None: the read model has every event")
            assert not said
        verified(system)


def test_the_slider_travels_in_time(kept: System, browser: Browser) -> None:
    url = kept.settings.query_url
    with signed_in(browser, url, "admin") as (page, said):
        page.goto(f"{url}/console/products/1")
        page.focus("#as-of-slider")
        page.keyboard.press("Home")
        page.wait_for_url("**/console/products/1?asOf=1")
        assert "as of position 1" in page.inner_text("[role=status]")
        page.click("text=Back to now")
        page.wait_for_url("**/console/products/1")
        assert not said


def test_a_shop_is_kept_without_a_script(kept: System, browser: Browser) -> None:
    url = kept.settings.query_url
    with signed_in(browser, url, "admin", 390, java_script_enabled=False) as (page, _):
        page.goto(f"{url}/console/customers/new")
        page.fill("[name=name]", "No Script")
        page.fill("[name=email]", "no")
        page.click("main button")
        assert "E-mail" in page.inner_text(".error")
        page.fill("[name=email]", "no@script.example")
        page.click("main button")
        page.wait_for_url("**/console/customers/*?position=*")
        assert page.inner_text("h1") == "No Script"
        page.click("text=Sign out")
        page.wait_for_url("**/console/sign-in")


@pytest.mark.parametrize("service", ["commands", "queries"])
def test_an_endpoint_is_tried_out_on_the_page_of_the_api(
    kept: System, browser: Browser, service: str
) -> None:
    url = getattr(kept, service).url
    with signed_in(browser, kept.settings.query_url, "admin", 390) as (page, said):
        page.goto(f"{url}/docs")
        page.wait_for_selector("details.op")
        path = "/events/{position}" if service == "commands" else "/products/{productId}"
        page.locator("details.op", has_text=path).first.click()
        opened = page.locator("details.op[open]")
        opened.locator("input").first.fill("1")
        opened.locator("button").click()
        response = opened.locator("form ~ div")
        response.get_by_text("401 ", exact=False).first.wait_for()
        page.fill("#key", "admin")
        opened.locator("button").click()
        response.get_by_text("<script>alert(1)", exact=False).first.wait_for()
        assert not barriers(page)
        assert [line for line in said if "401" not in line] == []
