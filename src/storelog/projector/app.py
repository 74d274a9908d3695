"""Wiring of the projector: the loop, and health and metrics beside it.

Next: projector/projector.py
"""

from storelog.config import Settings
from storelog.projector.projector import Projector
from storelog.web.worker import serve_worker


def run(settings: Settings, host: str, port: int) -> None:
    """Project until SIGTERM or SIGINT. Raises HistoryMismatch."""
    projector = Projector(settings)
    serve_worker(
        "storelog projector",
        settings,
        host,
        port,
        projector.run,
        projector.facts,
        projector.measure,
    )
