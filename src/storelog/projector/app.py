"""Wiring of the projector: its loops, and health and metrics beside them.

Next: projector/projector.py
"""

from storelog.config import Settings
from storelog.projector import measures
from storelog.projector.keys import KeyKeeper
from storelog.projector.projector import Projector
from storelog.web.worker import serve_worker


def run(settings: Settings, host: str, port: int) -> None:
    """Project until SIGTERM or SIGINT. Raises HistoryMismatch."""
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
    )
