"""Wiring of the relay: the loop, and a small health endpoint beside it.

Next: relay/relay.py
"""

from storelog.config import Settings
from storelog.relay.relay import Relay
from storelog.web.worker import serve_worker


def run(settings: Settings, host: str, port: int) -> None:
    """Relay until SIGTERM or SIGINT. Raises HistoryMismatch."""
    relay = Relay(settings)
    serve_worker("storelog relay", settings, host, port, relay.run, relay.facts, relay.measure)
