"""Wiring of the projector: its loops, and health and metrics beside them.

Next: projector/projector.py
"""

from collections.abc import Mapping, Sequence
from typing import Any

from storelog.config import Settings
from storelog.projector import measures
from storelog.projector.keys import KeyKeeper
from storelog.projector.projector import Projector
from storelog.web.http import Route
from storelog.web.worker import serve_worker


def run(
    settings: Settings,
    host: str,
    port: int,
    routes: Sequence[Route] = (),
    schemas: Mapping[str, Any] | None = None,
) -> None:
    """Project until SIGTERM or SIGINT. Raises HistoryMismatch.

    `routes` are served beside its health; `schemas` are those that they name.
    """
    projector = Projector(settings)
    keys = KeyKeeper(settings)
    serve_worker(
        "storelog projector",
        settings,
        host,
        port,
        [projector.run, keys.run],
        projector.facts,
        projector.measure,
        keys.key_set,
        measures.CLOCK.seconds,
        routes,
        schemas,
    )
