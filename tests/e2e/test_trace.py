"""One trace from the HTTP request over PostgreSQL and Kafka to the write in MongoDB."""

from support.embedded import EmbeddedServers, new_settings
from support.otlp import Collector, collecting
from support.system import System, wait_for

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CLIENT_SPAN = "00f067aa0ba902b7"
PATH = (
    ("storelog command-service", "POST /orders"),
    ("storelog relay", "send OrderCreated"),
    ("storelog projector", "project OrderCreated"),
    ("storelog projector", "write to MongoDB"),
)


def path_to(collector: Collector, name: str, below: str) -> list[tuple[str, str]]:
    """Return the way from the top of the trace to the span `name` below a span named `below`."""
    spans = collector.trace(TRACE)
    for span in spans.values():
        above = spans.get(span.parent)
        if span.name == name and above is not None and above.name == below:
            way = [span]
            while way[0].parent in spans:
                way.insert(0, spans[way[0].parent])
            if way[0].parent != CLIENT_SPAN:
                # Each process sends its spans by itself: those above are still on their way.
                return []
            assert [s.began_ns for s in way] == sorted(s.began_ns for s in way)
            return [(s.process, s.name) for s in way]
    return []


def test_an_order_is_one_trace_from_the_request_to_mongodb(servers: EmbeddedServers) -> None:
    with collecting() as collector:
        environment = {"STORELOG_OTLP_ENDPOINT": collector.url}
        with System(new_settings(servers), environment=environment) as system:
            customer = system.new_customer()["customerId"]
            product = system.new_product(stock=5)["productId"]
            items = [{"productId": product, "quantity": 2}]
            placed = system.commands.post(
                "/orders",
                {"customerId": customer, "orderItems": items},
                {"traceparent": f"00-{TRACE}-{CLIENT_SPAN}-01"},
            )
            assert placed.status == 201
            system.wait_projected(placed.position)

            def path() -> list[tuple[str, str]]:
                prefix = system.settings.kafka_topic_prefix
                below = f"project {prefix}OrderCreated"
                found = path_to(collector, "write to MongoDB", below)
                return [(process, name.replace(prefix, "")) for process, name in found]

            assert tuple(wait_for(path, "the whole path", 30)) == PATH
            spans = collector.trace(TRACE).values()
            assert ("storelog command-service", "append to the log") in {
                (span.process, span.name) for span in spans
            }
            logged = system.sql("SELECT traceparent FROM events WHERE event_type = 'OrderCreated'")
            assert TRACE in logged[0]["traceparent"]
