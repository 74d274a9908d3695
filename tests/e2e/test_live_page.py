"""The page of the how-to, in a real browser: it shows each change once, whatever breaks off."""

import json
import re
import signal
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from support.browser import browsing
from support.embedded import EmbeddedServers, new_settings
from support.system import ANN, System, wait_for

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "live-in-a-browser.md"
# What the documented page shows is told to the test.
TELL = """<script>
const shown = () => [...document.querySelectorAll("li")].map(li => li.textContent);
const tell = () => fetch("/shown", { method: "POST", body: JSON.stringify(shown()) });
new MutationObserver(tell).observe(document.querySelector("ol"), { childList: true });
</script>"""


class Pages(ThreadingHTTPServer):
    """A shop's own web server: one page, and what it shows now."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _PageHandler)
        self.page = ""
        self.shown: list[str] = []
        self.origin = f"http://127.0.0.1:{self.server_port}"


class _PageHandler(BaseHTTPRequestHandler):
    server: Pages

    def do_GET(self) -> None:
        body = self.server.page.encode() if self.path == "/" else b""
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.server.shown = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def pages() -> Iterator[Pages]:
    with Pages() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def keyed(servers: EmbeddedServers, pages: Pages) -> Iterator[System]:
    """A system with the keys `r` (read) and `w` (write), and one page of another origin."""
    digests = {name: sha256(name.encode()).hexdigest() for name in "rw"}
    keys = f"reader:read:{digests['r']},writer:write:{digests['w']}"
    environment = {"STORELOG_API_KEYS": keys, "STORELOG_CORS_ORIGINS": pages.origin}
    with System(new_settings(servers), environment=environment, key="w") as system:
        yield system


@pytest.mark.alone
def test_the_documented_page_shows_each_change_once_in_a_browser(
    keyed: System, pages: Pages
) -> None:
    found = re.search(r"```html\n(.*?)```", HOW_TO.read_text("utf-8"), re.DOTALL)
    assert found is not None
    page = found[1].replace("http://127.0.0.1:8081", keyed.queries.url).replace('"KEY"', '"r"')
    assert page.count("\n") <= 20
    pages.page = page + TELL
    made: list[int] = []

    def create() -> None:
        made.append(keyed.commands.post("/customers", ANN).position)

    def shown() -> list[int]:
        return [int(text.split()[0]) for text in pages.shown]

    def has_begun() -> bool:
        create()
        return bool(shown())

    with browsing(f"{pages.origin}/"):
        wait_for(has_begun, "the page to show a change", 60)
        # Its stream breaks off; what happens meanwhile is shown as well.
        keyed.signal("query-service", signal.SIGKILL)
        keyed.exit_code("query-service")
        create()
        keyed.start("query-service")
        keyed.wait_ready("query-service")
        create()
        wait_for(lambda: shown()[-1] == made[-1], "all changes", 60)
    assert shown() == made[made.index(shown()[0]) :]
