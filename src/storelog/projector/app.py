"""Wiring of the projector: its loops, and health and metrics beside them.

Next: projector/projector.py
"""

from storelog.config import Settings
from storelog.projector.keys import KeyKeeper
from storelog.projector.projector import Projector
from storelog.web.worker import serve_worker


def run(settings: Settings, host: str, port: int) -> None:
    """Project until SIGTERM or SIGINT. Raises HistoryMismatch."""
    projector = Projector(settings)
    keys = KeyKeeper(settings)
    loops = [projector.run, keys.run]
    facts, measure = projector.facts, projector.measure
    serve_worker("storelog projector", settings, host, port, loops, facts, measure, keys.key_set)
