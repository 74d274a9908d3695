"""`/metrics` of both services and both workers, after real traffic."""

import hashlib
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from storelog.local.servers import PROCESSES
from support.embedded import EmbeddedServers, new_settings
from support.http import Client
from support.kafka import HostileRelay
from support.system import System, wait_for

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(client: Client) -> Samples:
    reply = client.get("/metrics")
    assert reply.status == 200, reply.raw
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(reply.raw.decode())
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, tuple(sorted(labels.items()))), 0.0)


def total(samples: Samples, name: str) -> float:
    return sum(number for (found, _), number in samples.items() if found == name)


@pytest.fixture(scope="module")
def traded(servers: EmbeddedServers) -> Iterator[System]:
    """A system with three orders, one of them rejected, and everything projected."""
    with System(new_settings(servers)) as system:
        customer = system.new_customer()["customerId"]
        product = system.new_product(stock=5)["productId"]
        for _ in range(2):
            system.new_order(customer, (product, 2))
        items = [{"productId": product, "quantity": 2}]
        body = {"customerId": customer, "orderItems": items}
        assert system.commands.post("/orders", body).status == 409
        system.wait_projected()
        yield system


def test_the_command_service_counts_requests_commands_and_batches(traded: System) -> None:
    found = scrape(traded.commands)
    seconds = "storelog_http_request_duration_seconds_count"
    assert value(found, seconds, method="POST", route="/orders", status="201") == 2
    assert value(found, seconds, method="POST", route="/orders", status="409") == 1
    assert value(found, "storelog_http_refusals_total", slug="insufficient-stock") == 1
    for outcome, number in (("accepted", 2), ("refused", 1)):
        counted = value(found, "storelog_commands_total", command="PlaceOrder", outcome=outcome)
        assert counted == number, outcome
    assert total(found, "storelog_batch_commands_sum") == 5
    assert total(found, "storelog_batch_events_sum") == 2 + 2 * 2
    for part in ("load", "decide", "append"):
        assert value(found, "storelog_batch_part_seconds_count", part=part) == 5
    assert value(found, "storelog_log_position") == traded.written()
    assert ("storelog_command_queue_length", ()) in found
    assert value(found, "storelog_server_errors_total") == 0
    assert value(found, "process_resident_memory_bytes") > 1_000_000


def test_the_relay_says_what_it_sent_and_that_nothing_is_left(traded: System) -> None:
    found = scrape(Client(traded.url("relay")))
    written = traded.written()
    assert value(found, "storelog_relay_events_total") == written
    assert value(found, "storelog_relay_position") == written
    assert value(found, "storelog_relay_active") == 1
    assert ("storelog_relay_lag_seconds", ()) in found
    assert value(found, "storelog_relay_lag_events") == 0
    assert value(found, "storelog_relay_publish_seconds_count") >= 1


def test_the_projector_shows_every_lane_and_the_query_service_its_position(traded: System) -> None:
    written = traded.written()
    found = scrape(Client(traded.url("projector")))
    assert value(found, "storelog_projector_events_total") == written
    assert value(found, "storelog_projector_ready") == 1
    for lane in ("0", "1", "2"):
        assert value(found, "storelog_projector_safe_position", lane=lane) == written
        assert value(found, "storelog_projector_lag_events", lane=lane) == 0
        assert value(found, "storelog_projector_lag_seconds", lane=lane) == 0
        assert value(found, "storelog_projector_dead_letters", lane=lane) == 0
    read = scrape(traded.queries)
    assert value(read, "storelog_read_position") == written
    assert value(read, "storelog_read_dead_letters") == 0


def test_the_projectors_lag_is_known_while_a_record_is_missing(servers: EmbeddedServers) -> None:
    with System(new_settings(servers), ("command-service", "projector")) as system:
        for _ in range(3):
            system.new_customer()
        hostile = HostileRelay(system.settings)
        first = hostile.outgoing[0]
        hostile.send_shuffled(seed=1, leave_out=first.event.position)
        hostile.announce()
        projector = Client(system.url("projector"))

        def is_behind() -> bool:
            return value(scrape(projector), "storelog_projector_lag_events", lane=lane) == 3

        lane = str(first.lane)
        wait_for(is_behind, "the lane to be behind")
        found = scrape(projector)
        assert value(found, "storelog_projector_lag_seconds", lane=lane) > 0
        assert value(found, "storelog_projector_safe_position", lane=lane) == 0


def test_metrics_need_the_role_read(servers: EmbeddedServers) -> None:
    digest = hashlib.sha256(b"sesame").hexdigest()
    keys = {"STORELOG_API_KEYS": f"scraper:read:{digest}"}
    with System(new_settings(servers), environment=keys) as system:
        for name in PROCESSES:
            assert Client(system.url(name)).get("/metrics").status == 401, name
            assert Client(system.url(name), "sesame").get("/metrics").status == 200, name
            assert Client(system.url(name)).get("/health/live").status == 200, name
