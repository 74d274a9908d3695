"""The console in a real browser, driven by Playwright; what a page says in its console is kept."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Page, sync_playwright

from support.browser import FLAGS, unpacked
from support.tools import installed

MILLISECONDS = 60_000
Scheme = Literal["light", "dark"]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@contextmanager
def a_browser() -> Iterator[Browser]:
    """Give a Chromium without a window."""
    home, profile = unpacked(), tempfile.mkdtemp(prefix="storelog-browser-")
    environment: dict[str, str | float | bool] = {
        **os.environ,
        "HOME": profile,
        "LD_LIBRARY_PATH": str(home / "lib"),
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(home / "chromium"),
            args=list(FLAGS),
            env=environment,
            timeout=2 * MILLISECONDS,
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def signed_in(
    browser: Browser, url: str, key: str, width: int = 1280, scheme: Scheme = "light", **more: Any
) -> Iterator[tuple[Page, list[str]]]:
    """Give a page of who is signed in with a key, and what went wrong on pages so far."""
    said: list[str] = []
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, locale="en-GB", **more
    )
    page = context.new_page()
    page.set_default_timeout(MILLISECONDS)
    page.on("console", lambda message: said.append(f"{page.url}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"{page.url}: {error}"))
    page.goto(f"{url}/console/sign-in")
    page.fill("#key", key)
    page.press("#key", "Enter")
    page.wait_for_selector("h1")
    try:
        yield page, said
    finally:
        context.close()


def barriers(page: Page) -> list[str]:
    """Return the faults that axe-core finds on a page that keep some people out."""
    page.evaluate(_axe() + ";0")
    rules = {"runOnly": RULES}
    found = page.evaluate("rules => axe.run(document, rules)", rules)["violations"]
    return [f"{page.url}: {each['id']} {each['nodes'][0]['target']}" for each in found]


def _axe() -> str:
    path: Path = installed() / "node_modules" / "axe-core" / "axe.min.js"
    return path.read_text("utf-8")
