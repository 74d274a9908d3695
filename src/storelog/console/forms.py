"""Reads forms, and checks the Origin of each one against the configured origins.

Guarantees that a page of another origin can write nothing here: a browser names the page's origin.
The Host header is never used, since any client can choose it.
Next: console/page.py
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit

from storelog.client.problems import Problem
from storelog.config import Settings
from storelog.errors import Forbidden, Malformed
from storelog.proxies import is_loopback
from storelog.web.http import Handler, Request, Response

MAX_FIELDS = 5_000
_FORM = "application/x-www-form-urlencoded"
_DETAIL = (
    "The request has no Origin from which this console accepts writes. Open the console under the"
    " address of STORELOG_QUERY_URL, or add its origin to STORELOG_CONSOLE_ORIGINS."
)


class Form:
    """The values of a form: the first one of each name, or all of them."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = pairs

    def text(self, name: str) -> str:
        """Return the field's value without surrounding blanks, "" if the field is missing."""
        return next((value.strip() for key, value in self._pairs if key == name), "")

    def has(self, name: str) -> bool:
        """Tell whether the form has the field."""
        return any(key == name for key, _ in self._pairs)

    def all(self, name: str) -> list[str]:
        """Return the values of all fields of the name, in their order."""
        return [value.strip() for key, value in self._pairs if key == name]

    def whole(self, name: str) -> int | str:
        """Return a whole number, or the typed text for the API to reject."""
        text = self.text(name)
        return as_whole(text)

    def values(self) -> Mapping[str, str]:
        """Return the first value of each name, to show the form again."""
        # Reversed, since the last of several pairs stays in a dictionary.
        return dict(reversed(self._pairs))


def as_whole(text: str) -> int | str:
    """Return a whole number of up to 18 digits, or else the text."""
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) < 19 else text


class Origins:
    """The origins whose pages may write."""

    def __init__(self, settings: Settings) -> None:
        own = urlsplit(settings.query_url)
        port = f":{own.port}" if own.port else ""
        hosts = [own.hostname or "localhost"]
        # On one machine people open any of these, and all of them reach this process.
        if is_loopback(hosts[0]):
            hosts = ["localhost", "127.0.0.1", "[::1]"]
        self._allowed = {f"{own.scheme}://{host}{port}" for host in hosts}
        self._allowed |= set(settings.console_origins)
        self.is_secure = all(origin.startswith("https://") for origin in self._allowed)

    def check(self, request: Request) -> None:
        """Raise Forbidden for a request of another origin, or without one."""
        if request.headers.get("origin") not in self._allowed:
            raise Forbidden("forbidden", _DETAIL)


def read_form(request: Request) -> Form:
    """Return the form in the request's body. Raises Malformed."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM:
        raise Malformed(f"A form must be sent as {_FORM}.")
    try:
        pairs = parse_qsl(
            request.body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError as error:
        raise Malformed("The form cannot be read.") from error
    if any("\0" in value for _, value in pairs):
        raise Malformed("A field has a NUL character.")
    return Form(pairs)


FormHandler = Callable[[Request, Form], Awaitable[Response]]
Problems = Callable[[Request, Problem], Response]


def submits(origins: Origins, handler: FormHandler, on_problem: Problems) -> Handler:
    """Return the handler of a form: its origin is checked before anything is read."""

    async def handle(request: Request) -> Response:
        origins.check(request)
        try:
            return await handler(request, read_form(request))
        except Problem as problem:
            return on_problem(request, problem)

    return handle


def shows(handler: Callable[[Request], Awaitable[Response]], on_problem: Problems) -> Handler:
    """Return the handler of a page that may read from the Command Service."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except Problem as problem:
            return on_problem(request, problem)

    return handle


def field_errors(problem: Problem) -> dict[str, str]:
    """Return the errors by field names as in the templates: `/orderItems/0/quantity` becomes
    orderItems-0-quantity.
    """
    return {error.pointer.strip("/").replace("/", "-"): error.detail for error in problem.errors}
