"""Views for people, the saved queries over them, and the page that shows the schema."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

from generate.schema import DRAWING, PAGE, page, read
from generate.schema_drawing import draw
from storelog.config import Settings
from storelog.local import pgadmin
from support.embedded import EmbeddedServers, new_settings
from support.system import System


def test_the_page_and_the_drawing_of_the_schema_are_current_and_load_nothing(
    settings: Settings,
) -> None:
    schema = asyncio.run(read(settings.postgres_url or ""))
    assert PAGE.read_text("utf-8") == page(schema), "run `make schema`"
    drawing = draw(schema.tables, schema.references)
    assert DRAWING.read_text("utf-8") == drawing, "run `make schema`"
    assert "http" not in drawing.replace("http://www.w3.org/2000/svg", "")
    for table, columns in schema.tables.items():
        assert f">{table}</text>" in drawing
        assert all(f">{column.name}</text>" in drawing for column in columns)


def test_views_tell_an_orders_story_the_stock_the_sales_and_the_lag(
    servers: EmbeddedServers,
) -> None:
    with System(new_settings(servers), ("command-service",)) as system:
        customer = system.new_customer()["customerId"]
        tea = system.new_product(name="Tea pot", price="8.5", stock=10)["productId"]
        cup = system.new_product(name="Cup", price="2", stock=10)["productId"]
        kept = system.new_order(customer, (tea, 1))["orderId"]
        gone = system.new_order(customer, (tea, 2), (cup, 4))["orderId"]
        assert system.commands.delete(f"/orders/{gone}").status == 204
        story = system.sql("SELECT * FROM order_story WHERE order_id = $1 ORDER BY position", gone)
        assert [(row["event_type"], row["what"]) for row in story] == [
            ("OrderCreated", f"ordered for 25.00 by customer {customer}"),
            ("ProductSold", "2 x Tea pot at 8.50, 7 left"),
            ("ProductSold", "4 x Cup at 2.00, 6 left"),
            ("OrderDeleted", "order deleted"),
            ("ProductUpdated", "stock given back to Tea pot, 9 there now"),
            ("ProductUpdated", "stock given back to Cup, 10 there now"),
        ]
        assert len(system.sql("SELECT * FROM order_story WHERE order_id = $1", kept)) == 2
        stock = {row["name"]: row for row in system.sql("SELECT * FROM product_stock")}
        assert (stock["Tea pot"]["stock"], str(stock["Tea pot"]["stock_value"])) == (9, "76.5000")
        sales = {row["product_id"]: row for row in system.sql("SELECT * FROM product_sales")}
        assert (sales[tea]["orders"], sales[tea]["units_sold"]) == (1, 1)
        assert (sales[cup]["orders"], sales[cup]["sales"]) == (0, 0)
        (lag,) = system.sql("SELECT * FROM relay_lag")
        assert lag["written"] == lag["events_behind"] == system.written()
        assert lag["seconds_behind"] > 0
        (line,) = system.sql("SELECT * FROM order_lines WHERE order_id = $1", kept)
        assert (line["customer_name"], str(line["line_total"])) == ("Ann Miller", "8.5000")
        for name, query in pgadmin.queries().items():
            assert isinstance(system.sql(query), list), name


def test_the_embedded_database_is_nobodys_system_object(servers: EmbeddedServers) -> None:
    system = System(servers.settings)
    (found,) = system.sql("SELECT oid::bigint FROM pg_database WHERE datname = 'storelog'")
    assert found["oid"] >= 16_384, "tools such as pgAdmin hide it"


def test_a_password_goes_to_a_file_of_its_own_never_into_servers_json(tmp_path: Path) -> None:
    url = "postgresql://shop:se%3Acret@db.example.com:6432/shop?sslmode=require"
    (entry,) = pgadmin.servers_json(url, tmp_path / "pgpass")["Servers"].values()
    assert (entry["Host"], entry["Port"], entry["MaintenanceDB"]) == (
        "db.example.com",
        6432,
        "shop",
    )
    assert entry["Username"] == "shop"
    assert entry["ConnectionParameters"]["sslmode"] == "require"
    assert "cret" not in str(entry)
    assert urlsplit(url).password is not None
