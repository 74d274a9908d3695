"""`make screenshots`: pictures of the console with the demo shop, for README and the docs' home.

Run as a program, with the tests' own support: it starts servers, the demo, and a Chromium.
"""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import ViewportSize

from support.browser_pages import Scheme, a_browser
from support.embedded import EmbeddedServers, new_settings
from support.system import System

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
WIDTH, HEIGHT = 1280, 860
DEMO = ("demo", "--orders-per-second", "5", "--duration", "60", "--seed", "7")
# The file's name, the page, and whether it is dark.
PICTURES: tuple[tuple[str, str, Scheme], ...] = (
    ("console-overview", "/console", "light"),
    ("console-product", "/console/products/1", "light"),
    ("console-event", "/console/log/400", "dark"),
    ("console-operations", "/console/operations", "dark"),
)


def take() -> None:
    """Take every picture."""
    home = Path(tempfile.mkdtemp(prefix="storelog-pictures-"))
    servers = EmbeddedServers(home)
    try:
        servers.start()
        system = System(new_settings(servers))
        system.settings = replace(
            system.settings, relay_url=system.url("relay"), projector_url=system.url("projector")
        )
        with system:
            for command in (DEMO, ("verify",)):
                done = system.cli(*command)
                if done.returncode:
                    raise RuntimeError(done.stderr)
            _take(system.settings.query_url)
    finally:
        servers.stop()
        shutil.rmtree(home, ignore_errors=True)


def _take(url: str) -> None:
    FOLDER.mkdir(exist_ok=True)
    with a_browser() as browser:
        for name, path, scheme in PICTURES:
            size = ViewportSize(width=WIDTH, height=HEIGHT)
            context = browser.new_context(viewport=size, color_scheme=scheme, locale="en-GB")
            page = context.new_page()
            page.goto(url + path)
            page.wait_for_load_state("load")
            page.screenshot(path=str(FOLDER / f"{name}.png"))
            context.close()


if __name__ == "__main__":
    take()
