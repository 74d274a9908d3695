"""What `GET /operations` asks MongoDB about itself."""

import asyncio
from typing import Any

import pytest

from storelog.query_service.http.operations import about_server


class Server:
    """A server that says what it is, and counts how often it is asked for its sizes."""

    def __init__(self, info: dict[str, Any]) -> None:
        self._info, self.asked = info, 0
        self.client = self

    async def server_info(self) -> dict[str, Any]:
        return self._info

    async def command(self, _name: str) -> dict[str, Any]:
        self.asked += 1
        return {"storageSize": 3.0, "indexSize": 4}


@pytest.mark.parametrize(
    ("info", "told", "asked"),
    [
        ({"version": "8.0.4"}, ("8.0.4", 7), 1),
        ({"version": "8.2.11", "secantusVersion": "0.7.0b3"}, ("8.2.11", None), 0),
        ({}, (None, 7), 1),
    ],
)
def test_a_server_that_reads_every_document_to_tell_its_size_is_not_asked_for_it(
    info: dict[str, Any], told: tuple[str | None, int | None], asked: int
) -> None:
    server: Any = Server(info)
    assert asyncio.run(about_server(server)) == told
    assert server.asked == asked
