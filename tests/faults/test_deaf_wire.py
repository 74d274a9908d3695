"""The projector's wire to MongoDB goes deaf for a moment: what it waits for will never come."""

from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from storelog.config import Settings
from storelog.torture.wire import Wire
from support.system import System, wait_for

pytestmark = pytest.mark.alone

# Giving the wire up (15 s), reading the lane again, and the machine being busy.
RECOVERED_SECONDS = 30.0


def test_the_read_side_is_there_again_in_30_s_after_its_wire_went_deaf(settings: Settings) -> None:
    address = urlsplit(settings.mongodb_uri or "")
    with Wire(str(address.hostname), address.port or 0) as wire:
        through = address._replace(netloc=f"{address.hostname}:{wire.port}").geturl()
        deaf = System(replace(settings, mongodb_uri=through), ("projector",))
        with System(settings, ("command-service", "relay", "query-service")) as system, deaf:
            system.new_customer()
            product = system.new_product(stock=50)["productId"]
            path = f"/products/{product}"
            wait_for(lambda: system.queries.get(path).status == 200, "the product")
            wire.deafen()
            system.new_order(1, (product, 1))
            assert wire.happened.wait(20)
            wire.repair()
            system.new_order(1, (product, 1))
            wait_for(
                lambda: system.queries.get(path).json["stock"] == 48, "the sale", RECOVERED_SECONDS
            )
            assert "projector waits" in deaf.log("projector")
