"""What holds in a shop whose processes have wrong clocks."""

from datetime import timedelta

from storelog.envelope import parse_time
from support.projected import verified
from support.system import System, trade


def works_in_postgresqls_time(system: System, hours: float) -> None:
    """Hold that a shop does its work; `hours`: how far its Command Service's clock is ahead."""
    trade(system)
    order = system.new_order(3, (3, 1))
    now = system.sql("SELECT clock_timestamp() AS at")[0]["at"]
    assert abs(parse_time(order["orderDate"]) - now) < timedelta(minutes=1)
    system.wait_projected()
    assert verified(system)["position"] == system.written()
    found = system.commands.get("/health/ready").json["clockDifferenceSeconds"]
    assert abs(found - 3600 * hours) < 60
