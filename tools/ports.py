"""Say which of the given ports (NAME=PORT) is in use, and how `make up` takes another one."""

import socket
import sys


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the port of this machine's loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def main() -> int:
    """Look at each; return the exit code."""
    taken = []
    for given in sys.argv[1:]:
        name, _, port = given.partition("=")
        if not port.isdecimal() or not 0 < int(port) < 65_536:
            print(f"storelog: {given} is no port: make up {name}=9080", file=sys.stderr)
            return 2
        if not is_free(int(port)):
            other = next((n for n in range(int(port) + 1_000, 65_536) if is_free(n)), 9_080)
            taken.append(f"{name}={other}")
            print(f"storelog: port {port} is in use", file=sys.stderr)
    if taken:
        print(f"storelog: choose another: make up {' '.join(taken)}", file=sys.stderr)
    return 2 if taken else 0


sys.exit(main())
