"""The ports of one data directory: free ones, kept in `ports.json` and used again next time."""

import json
import socket
from pathlib import Path

HOST = "127.0.0.1"


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the port of this machine's loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def kept_ports(data_dir: Path, names: tuple[str, ...]) -> dict[str, int]:
    """Return a free port for each name: the one used last time, else a new one, kept from now."""
    path = data_dir / "ports.json"
    known: dict[str, int] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    ports: dict[str, int] = {}
    for name in names:
        port = known.get(name)
        # The same port again, so that clients configured for it keep working.
        ports[name] = port if port is not None and is_free(port) else _new_port(ports)
    path.write_text(json.dumps({**known, **ports}, indent=1) + "\n", "utf-8")
    return ports


def _new_port(taken: dict[str, int]) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port: int = probe.getsockname()[1]
        if port not in taken.values():
            return port
