"""The console's table of pages: each address with the lowest role that may open it.

Next: console/page.py
"""

from collections.abc import Sequence

from storelog.config import Settings
from storelog.console.command_side import CommandSide
from storelog.console.customers import CustomerPages
from storelog.console.forms import Origins
from storelog.console.log import LogPages
from storelog.console.operations import OperationPages
from storelog.console.orders import OrderPages
from storelog.console.overview import Overview
from storelog.console.page import Templates
from storelog.console.place_order import PlaceOrderForm
from storelog.console.products import ProductPages
from storelog.console.query_side import QuerySide
from storelog.console.reports import ReportPages
from storelog.console.sign_in import SignIn
from storelog.console.site import Site
from storelog.console.static import static_routes
from storelog.web.about import about_body
from storelog.web.http import Route
from storelog.web.keyring import Keyring
from storelog.web.sessions import Pages, Sessions

# The service that serves the pages.
NAME = "storelog query-service"


def console_pages(settings: Settings, table: Sequence[Route], keyring: Keyring) -> Pages:
    """Return the pages, which read through the Query Service's `table` of routes."""
    origins = Origins(settings)
    sessions = Sessions(is_secure=origins.is_secure)
    commands = CommandSide(settings.command_url, settings.projector_url, sessions)
    query = QuerySide(table)
    templates = Templates(settings, lambda: query.last_position)
    site = Site(templates, query, commands, origins)
    routes = [
        *SignIn(site, sessions, keyring, about_body(NAME, settings)).routes(),
        *Overview(site).routes(),
        *OrderPages(site).routes(),
        *PlaceOrderForm(site).routes(),
        *ProductPages(site).routes(),
        *CustomerPages(site).routes(),
        *ReportPages(site).routes(),
        *LogPages(site).routes(),
        *OperationPages(site).routes(),
        *static_routes(),
    ]
    return Pages(routes, sessions, commands.close)
