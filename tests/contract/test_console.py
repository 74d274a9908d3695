"""The console's forms and pages as HTML, seen from outside."""

import re
from datetime import timedelta

import pytest

from storelog.envelope import parse_time, utc_now
from support.console import NAME, Browser, hidden, moved_to
from support.system import System, wait_for


@pytest.fixture(scope="module")
def kept(keyed_shop: System) -> System:
    """The shared shop with a key of each role."""
    return keyed_shop


@pytest.fixture(scope="module")
def writer(kept: System) -> Browser:
    """Who is signed in with the role write."""
    return Browser(kept, "write")


def created(browser: Browser, path: str, typed: dict[str, str]) -> tuple[str, str]:
    """Fill in and send the form of a new one; return its number and its page."""
    fields = hidden(browser.page(f"{path}/new"), f"/console{path}/new")
    place = moved_to(browser.submit(f"{path}/new", {**fields, **typed}))
    return re.findall(rf"{path}/(\d+)", place)[0], browser.page(place)


def test_a_customer_a_product_and_an_order_are_made_and_each_is_shown_at_once(
    kept: System, writer: Browser
) -> None:
    typed = {"name": "Bea & Co", "email": "bea@example.com", "phoneNumber": ""}
    customer, page = created(writer, "/customers", typed)
    assert "Bea &amp; Co" in page
    typed = {"name": "Tray", "price": "4.25", "sku": "", "stock": "9"}
    product, page = created(writer, "/products", typed)
    assert "Tray" in page
    asked = hidden(writer.page("/orders/new"), "/console/orders/new")
    order = {
        **asked,
        "customer": f"{customer} Bea",
        "product": [product, ""],
        "units": ["2", ""],
        "action": "place",
    }
    first = moved_to(writer.submit("/orders/new", order))
    page = writer.page(first)
    assert "8.50" in page and "write-er" in page and "Order created" in page
    assert moved_to(writer.submit("/orders/new", order)) == first, "a form has one effect"


def test_every_error_of_a_form_stands_at_its_field_and_what_was_typed_stays(
    kept: System, writer: Browser
) -> None:
    before = kept.written()
    typed = {"key": "k1", "name": "", "email": "no", "phoneNumber": "x"}
    reply = writer.submit("/customers/new", typed)
    page = reply.raw.decode()
    assert reply.status == 422
    assert all(f'id="e-{name}"' in page for name in ("name", "email", "phoneNumber"))
    assert 'value="no"' in page
    typed = {"key": "k2", "name": NAME, "price": "1,5", "stock": "-1"}
    reply = writer.submit("/products/new", typed)
    page = reply.raw.decode()
    assert reply.status == 422 and 'id="e-price"' in page and 'id="e-stock"' in page
    assert "alert(1)</script>" not in page
    order = {"key": "k3", "customer": "1", "product": ["1", "x"], "units": ["0", "2"]}
    reply = writer.submit("/orders/new", {**order, "action": "place"})
    page = reply.raw.decode()
    assert reply.status == 422 and 'id="eq1"' in page and 'id="ep2"' in page
    short = {"key": "k4", "customer": "1", "product": "1", "units": "1000", "action": "place"}
    reply = writer.submit("/orders/new", short)
    assert reply.status == 409 and "1000 asked" in reply.raw.decode()
    assert kept.written() == before


def test_a_stale_change_is_rejected_and_shows_both_versions(kept: System, writer: Browser) -> None:
    product = kept.new_product(name="Lamp")["productId"]
    kept.wait_projected()
    place = f"/products/{product}"
    seen = hidden(writer.page(place), f"/console{place}/change")
    kept.commands.put(f"{place}", {"name": "Their lamp", "price": "2"})
    kept.wait_projected()
    mine = {**seen, "name": "My lamp", "price": "3", "sku": ""}
    reply = writer.submit(f"{place}/change", mine)
    page = reply.raw.decode()
    assert reply.status == 412
    assert "Two versions" in page and "Their lamp" in page and "My lamp" in page
    again = {**hidden(page, f"/console{place}/change"), "name": "My lamp", "price": "3", "sku": ""}
    assert "My lamp" in writer.page(moved_to(writer.submit(f"{place}/change", again)))
    stock = hidden(writer.page(place), f"/console{place}/stock")
    moved = moved_to(writer.submit(f"{place}/stock", {**stock, "delta": "-4", "reason": "broken"}))
    page = writer.page(moved)
    assert "broken" in page and "<strong>Product updated" in page


def test_a_stale_deletion_is_rejected_and_the_form_to_change_it_keeps_its_values(
    kept: System, writer: Browser
) -> None:
    customer = kept.new_customer(name="Cleo")["customerId"]
    kept.wait_projected()
    place = f"/customers/{customer}"
    seen = hidden(writer.page(place), f"/console{place}/deletion")
    body = {"name": "Cleo Ray", "email": "cleo@example.com"}
    kept.wait_projected(kept.commands.put(place, body).position)
    reply = writer.submit(f"{place}/deletion", seen)
    page = reply.raw.decode()
    assert reply.status == 412 and "This was changed meanwhile" in page
    assert 'value="Cleo Ray"' in page and 'value="cleo@example.com"' in page


@pytest.mark.parametrize("typed", ["x", "0", "-1", "1.5", "99999999999999999999"])
def test_what_is_no_order_number_is_rejected_and_a_number_leads_to_its_order(
    writer: Browser, typed: str
) -> None:
    reply = writer.open(f"/orders?orderId={typed}")
    assert reply.status == 422 and "?orderId" in reply.raw.decode()
    assert moved_to(writer.open("/orders?orderId=%201")) == "/orders/1"


def test_a_deleted_order_keeps_its_page_and_its_history(kept: System, writer: Browser) -> None:
    product, customer = kept.new_product()["productId"], kept.new_customer()["customerId"]
    order = kept.new_order(customer, (product, 1))["orderId"]
    kept.wait_projected()
    action = f"/console/orders/{order}/deletion"
    fields = hidden(writer.page(f"/orders/{order}"), action)
    page = writer.page(moved_to(writer.submit(f"/orders/{order}/deletion", fields)))
    assert "deleted" in page and "Order deleted" in page and "Order created" in page
    assert f'action="{action}"' not in page
    assert writer.open("/orders/9999999").status == 404


def test_a_deleted_product_and_customer_keep_their_pages(kept: System, writer: Browser) -> None:
    product, customer = kept.new_product()["productId"], kept.new_customer()["customerId"]
    kept.commands.delete(f"/products/{product}")
    kept.wait_projected(kept.commands.delete(f"/customers/{customer}").position)
    for path in (f"/products/{product}", f"/customers/{customer}"):
        page = writer.page(path)
        assert "deleted</span>" in page and "deleted</strong>" in page
        assert page.count('method="post"') == 1, "only the one to sign out"


def test_the_overview_looks_for_low_stock_among_all_products_of_the_present(
    writer: Browser,
) -> None:
    page = writer.page("")
    assert "of all products have 10 units or fewer" in page or "more than 10 units" in page
    assert "known for the present only" in writer.page("?asOf=1")


def test_time_travel_shows_the_past_keeps_it_in_links_and_turns_forms_off(
    kept: System, writer: Browser
) -> None:
    product = kept.new_product(name="Before")["productId"]
    then = kept.written()
    kept.commands.put(f"/products/{product}", {"name": "After", "price": "2"})
    kept.wait_projected()
    page = writer.page(f"/products/{product}?asOf={then}")
    assert "<h1>Before" in page and f"as of position {then}" in page
    assert page.count('method="post"') == 1, "only the one to sign out"
    assert f"/console/orders?asOf={then}" in page
    assert "<h1>After" in writer.page(f"/products/{product}")
    assert writer.open(f"/products/{product}?asOf=99999999").status == 422


def test_the_log_is_found_by_what_events_say_and_shows_the_chain(
    kept: System, writer: Browser
) -> None:
    assert "Customer created" in writer.page("/log?eventType=CustomerCreated")
    nobody = writer.page("/log?eventType=OrderDeleted&caller=nobody")
    assert "<tbody" not in nobody
    assert moved_to(writer.open("/log?at=2")) == "/log/2"
    page = writer.page("/log/2")
    assert (
        "it agrees" in page and 'href="/console/log/1"' in page and 'href="/console/log/3"' in page
    )


def test_the_log_at_a_moment_ends_there_whether_a_position_or_a_time_names_it(
    kept: System, writer: Browser
) -> None:
    product = kept.new_product()["productId"]
    before = kept.commands.get(f"/events/{kept.written()}").json
    wait_for(lambda: utc_now() > parse_time(before["recordedAt"]) + timedelta(seconds=0.1), "time")
    last = kept.commands.put(f"/products/{product}", {"name": "Later", "price": "2"}).position
    kept.wait_projected(last)
    for then in (before["position"], before["recordedAt"]):
        page = writer.page(f"/log?aggregate=product-{product}&asOf={then}")
        assert f">{before['position']}</a>" in page and f">{last}</a>" not in page
    assert f">{last}</a>" in writer.page(f"/log?aggregate=product-{product}")
    assert writer.open("/log?at=x").status == 422


def test_a_report_is_downloaded_with_cells_that_no_spreadsheet_computes(
    kept: System, writer: Browser
) -> None:
    product = kept.new_product(name="=HYPERLINK(1)")["productId"]
    kept.new_order(kept.new_customer()["customerId"], (product, 1))
    kept.wait_projected()
    reply = writer.open("/reports/csv?by=products")
    assert reply.headers["content-disposition"] == 'attachment; filename="products.csv"'
    rows = reply.raw.decode("utf-8-sig").splitlines()
    assert rows[0] == "Product,Name,Units,Sales"
    assert f"{product},'=HYPERLINK(1),1,12.75" in rows


def test_keys_are_created_shown_once_and_revoked(kept: System) -> None:
    admin = Browser(kept, "admin")
    asked = {"name": "of-console", "role": "read", "expiresAt": ""}
    reply = admin.submit("/operations/keys", asked)
    text = re.findall(r"slk_[\w-]+", reply.raw.decode())
    assert len(text) == 1 and reply.headers["cache-control"] == "no-store"
    assert text[0] not in admin.page("/operations/keys")
    again = admin.submit("/operations/keys", {"name": "of-console", "role": "read"})
    assert again.status == 409 and "of-console" in again.raw.decode()
    moved_to(admin.submit("/operations/keys/revocation", {"name": "of-console"}))
    assert "revoked" in admin.page("/operations/keys")


def test_operations_says_how_much_was_recorded_lately_and_leads_to_what_each_caller_did(
    kept: System, writer: Browser
) -> None:
    reply = kept.commands.post("/customers", {"name": "Rae", "email": "rae@example.com"})
    kept.wait_projected(reply.position)
    row = r'data-label="Recorded in the last">{}</td><td data-label="Events" class="n">([\d,]+)<'
    admin = Browser(kept, "admin")
    page = admin.page("/operations")
    counts = {}
    for window in ("minute", "hour", "day"):
        found = re.findall(row.format(window), page)
        assert len(found) == 1, page
        counts[window] = int(found[0].replace(",", ""))
    assert 1 <= counts["minute"] <= counts["hour"] <= counts["day"] <= kept.written()
    assert 'name="caller"' in page
    admin.submit("/operations/keys", {"name": "of-rates", "role": "read", "expiresAt": ""})
    assert "/console/log?caller=of-rates" in admin.page("/operations/keys")
    caller = kept.commands.get(f"/events/{reply.position}").json["caller"]
    assert f">{reply.position}</a>" in writer.page(f"/log?caller={caller}")
    assert f">{reply.position}</a>" not in writer.page("/log?caller=nobody")
