"""A proxy that notes what it is asked for, and fetches nothing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class Proxy:
    """`asked`: method and target of each request."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def _refuse(self) -> None:
                proxy.asked.append(f"{self.command} {self.path}")
                self.send_response(502)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST = do_CONNECT = _refuse

            def log_message(self, *_: object) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that send everything through it."""
        return dict.fromkeys(VARIABLES[:3], self.url) | {"no_proxy": ""}


@contextmanager
def proxy() -> Iterator[Proxy]:
    """Give one that runs."""
    running = Proxy()
    thread = threading.Thread(target=running._server.serve_forever, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running._server.shutdown()
        running._server.server_close()
