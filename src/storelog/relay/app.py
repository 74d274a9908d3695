"""Puts the relay together: its loop, the announcing of keys, and the endpoint of its health.

Next: relay/relay.py
"""

from storelog.config import Settings
from storelog.relay.keys import KeyAnnouncer
from storelog.relay.relay import Relay
from storelog.web.worker import serve_worker


def run(settings: Settings, host: str, port: int) -> None:
    """Relay until SIGTERM or SIGINT. Raises HistoryMismatch."""
    relay = Relay(settings)
    keys = KeyAnnouncer(settings)
    serve_worker(
        "storelog relay",
        settings,
        host,
        port,
        [relay.run, keys.run],
        relay.facts,
        relay.measure,
        keys.key_set,
        relay.clock.seconds,
    )
