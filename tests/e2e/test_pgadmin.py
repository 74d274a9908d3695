"""pgAdmin 4 beside `storelog up`: its page opens, and it is connected to the write database."""

import http.cookiejar
import json
import re
import shutil
import sqlite3
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from storelog.local import pgadmin
from support.system import ANN
from support.up import Up, is_running

pytestmark = pytest.mark.pgadmin


@pytest.fixture
def up() -> Iterator[Up]:
    home = Path(tempfile.mkdtemp(prefix="storelog-pgadmin-"))
    running = Up(home / "data")
    try:
        yield running
    finally:
        running.close()
        shutil.rmtree(home, ignore_errors=True)


class Browser:
    """Opens pgAdmin as a browser does: with cookies, and the token that its page carries."""

    def __init__(self, address: str) -> None:
        jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        self._base = address.partition("/?")[0]
        self.page = self._read(urllib.request.Request(address))
        script = self._read(urllib.request.Request(f"{self._base}/browser/js/utils.js"))
        named = dict(re.findall(r"\['(csrf_token(?:_header)?)'\] = '([^']+)'", script))
        self._headers = {named["csrf_token_header"]: named["csrf_token"]}

    def _read(self, request: urllib.request.Request) -> str:
        with self._opener.open(request, timeout=60) as answer:
            assert answer.status == 200
            return str(answer.read().decode())

    def ask(self, path: str, body: bytes | None = None) -> Any:
        request = urllib.request.Request(self._base + path, body, self._headers)
        return json.loads(self._read(request))

    def nodes(self, path: str) -> list[dict[str, Any]]:
        """Return what the tree shows there; pgAdmin has two names for it."""
        answer = self.ask(path)
        return list(answer["data"] or answer["result"])


def test_pgadmin_opens_and_is_connected_to_the_write_database(up: Up) -> None:
    started = up.detach("--pgadmin", seconds=1_200)
    assert started.returncode == 0, started.stdout + started.stderr
    # The shop's addresses come first: what is fetched then takes minutes.
    assert 0 < started.stdout.find(up.queries.url) < started.stdout.index("preparing pgAdmin 4")
    found = re.search(r"pgAdmin 4: (http://127\.0\.0\.1:\d+/\?key=\S+)", started.stdout)
    assert found is not None, started.stdout
    assert up.commands.post("/customers", ANN).status == 201
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(found[1].partition("?")[0], timeout=30)
    browser = Browser(found[1])
    assert "pgAdmin 4" in browser.page
    groups = {node["label"]: node for node in browser.nodes("/browser/nodes/")}
    group = groups["Storelog"]
    (server,) = browser.nodes(f"/browser/server/nodes/{group['_id']}/")
    assert server["label"] == pgadmin.SERVER_NAME
    place = f"{group['_id']}/{server['_id']}"
    connected = browser.ask(f"/browser/server/connect/{place}", b"{}")
    assert connected["success"] == 1, connected
    databases = browser.nodes(f"/browser/database/nodes/{place}/")
    assert "storelog" in {node["label"] for node in databases}
    home = up.data_dir / "pgadmin"
    with closing(sqlite3.connect(home / "pgadmin4.db")) as kept:
        saved = dict(kept.execute("SELECT name, sql FROM user_macros"))
    assert saved == {f"Storelog: {name}": sql for name, sql in pgadmin.queries().items()}
    entry = json.loads((home / "servers.json").read_text())["Servers"]["1"]
    assert (entry["Host"], entry["MaintenanceDB"]) == ("127.0.0.1", "storelog")
    servers = {server["name"]: server for server in up.status()["servers"]}
    assert servers["pgadmin"]["state"] == "ready"
    assert servers["pgadmin"]["version"].startswith("9.")
    pids = up.pids()
    assert up.cli("down").returncode == 0
    assert not [pid for pid in pids if is_running(pid)]
