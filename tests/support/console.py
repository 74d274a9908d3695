"""A browser that runs no script: what it sends to the console, and what it finds on a page."""

import re
from collections.abc import Mapping
from html import unescape
from urllib.parse import urlencode

from support.http import Client, Reply
from support.system import System

ROLES = ("read", "write", "admin")
NAME = "<script>alert(1)</script> & \"quoted\" 'it'"
PAGES = (
    "",
    "/now",
    "/orders",
    "/products",
    "/customers",
    "/reports",
    "/reports?by=products",
    "/reports?by=customers",
    "/log",
    "/operations",
    "/orders/new",
    "/products/new",
    "/customers/new",
)


class Browser:
    """What a browser sends: a cookie, and the Origin of a form."""

    def __init__(self, system: System, key: str | None = None) -> None:
        self.url = system.settings.query_url
        self._client = Client(self.url)
        self.headers: dict[str, str] = {}
        if key is not None:
            reply = self.submit("/sign-in", {"key": key, "next": "/console"})
            assert (reply.status, reply.headers["location"]) == (303, "/console"), reply.raw
            self.headers["Cookie"] = reply.headers["set-cookie"].partition(";")[0]

    def open(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        return self._client.get(f"/console{path}", {**self.headers, **(headers or {})})

    def page(self, path: str) -> str:
        reply = self.open(path)
        assert reply.status == 200, (path, reply.status, reply.raw[-900:])
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        return reply.raw.decode()

    def submit(self, path: str, fields: object, origin: str | None = "own") -> Reply:
        sent = {**self.headers, "Content-Type": "application/x-www-form-urlencoded"}
        if origin is not None:
            sent["Origin"] = self.url if origin == "own" else origin
        raw = urlencode(fields, doseq=True).encode()  # type: ignore[arg-type]
        return self._client.send("POST", f"/console{path}", headers=sent, raw=raw)


def hidden(page: str, form: str) -> dict[str, str]:
    """Return the hidden fields of the form with this action."""
    body = page.partition(f'action="{form}"')[2].partition("</form>")[0]
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', body)
    return {name: unescape(value) for name, value in found}


def moved_to(reply: Reply) -> str:
    assert reply.status == 303, (reply.status, reply.raw[-900:])
    place: str = reply.headers["location"]
    assert place.startswith("/console/"), place
    return place.removeprefix("/console")
