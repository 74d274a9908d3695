"""Parses the text of settings; an error names the setting and what it allows.

Next: config.py
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from storelog.errors import BadSetting
from storelog.postgres_address import parse_address

ROLES = ("read", "write", "import", "admin")
_HOST_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
# A line break at the end of a variable would get into a header.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key: its name, its role, the SHA-256 of its text in hex, and when it ends (epoch seconds).

    A key of the settings does not end.
    """

    name: str
    role: str
    sha256: str
    expires_at: float | None = None


def mask_url(url: str) -> str:
    """Return the URL with its password as ***."""
    masked = re.sub(r"(://[^/@:]*):[^/]*@", r"\1:***@", url)
    return re.sub(r"([?&][a-zA-Z]*password=)[^&]*", r"\1***", masked, flags=re.IGNORECASE)


def text(_name: str, raw: str) -> str:
    """Take any text."""
    return raw


def file(name: str, raw: str) -> str:
    """Check the path of a file that can be read."""
    try:
        with Path(raw).open("rb"):
            return raw
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no path"
        raise BadSetting(name, raw, f"a file that can be read ({why})") from error


def secret_text(name: str, raw: str) -> str:
    """Check a secret that can be sent in a header; errors do not show it."""
    if not re.fullmatch(r"[\x21-\x7e]+", raw):
        raise BadSetting(name, "(not shown)", "visible ASCII characters, without a line break")
    return raw


def url(*schemes: str) -> Callable[[str, str], str]:
    """Check an address with one of the schemes."""

    def parse(name: str, raw: str) -> str:
        try:
            parts = urlsplit(raw)
            # The ports of several hosts are for the driver to check.
            has_port = "," in parts.netloc or parts.port != 0
            host = parts.hostname or ""
            # With a percent sign it is the path of a socket; other names must be valid in the DNS.
            is_host = "%" in host or bool(host.encode("idna"))
            if parts.scheme in schemes and is_host and has_port and not _CONTROLS.search(raw):
                return raw
        except ValueError:
            pass
        raise BadSetting(name, mask_url(raw), " or ".join(f"{s}://HOST..." for s in schemes))

    return parse


def postgres_url(name: str, raw: str) -> str:
    """Check an address of PostgreSQL, in any form that libpq documents."""
    try:
        parse_address(raw)
        if not _CONTROLS.search(raw):
            return raw
    except ValueError:
        pass
    raise BadSetting(name, mask_url(raw), "postgresql://USER:PASSWORD@HOST:PORT/DATABASE")


def integer(low: int, high: int) -> Callable[[str, str], int]:
    """Check a whole number from `low` to `high`."""

    def parse(name: str, raw: str) -> int:
        if not re.fullmatch(r"-?\d{1,18}", raw) or not low <= int(raw) <= high:
            raise BadSetting(name, raw, f"a whole number from {low} to {high}")
        return int(raw)

    return parse


def one_of(*allowed: str) -> Callable[[str, str], str]:
    """Check one of a few words."""

    def parse(name: str, raw: str) -> str:
        if raw not in allowed:
            raise BadSetting(name, raw, ", ".join(allowed))
        return raw

    return parse


def flag(name: str, raw: str) -> bool:
    """Check true or false."""
    if raw.lower() not in ("true", "false"):
        raise BadSetting(name, raw, "true or false")
    return raw.lower() == "true"


def matching(pattern: str, allowed: str) -> Callable[[str, str], str]:
    """Check a text that the whole pattern matches; `allowed` says it in words."""

    def parse(name: str, raw: str) -> str:
        if not re.fullmatch(pattern, raw):
            raise BadSetting(name, raw, allowed)
        return raw

    return parse


def host(name: str, raw: str) -> str:
    """Check a host without a port, or * for any: with a port it would match no request."""
    bare = raw[1:-1] if raw.startswith("[") and raw.endswith("]") else raw
    try:
        is_host = ":" in bare and bool(ipaddress.IPv6Address(bare))
    except ValueError:
        is_host = False
    if not (is_host or raw == "*" or _HOST_NAME.fullmatch(raw)):
        raise BadSetting(name, raw, "HOST,HOST,... without ports, or *")
    return raw


def keys(name: str, raw: str) -> tuple[ApiKey, ...]:
    """Check `name:role:sha256hex,...`; errors do not show it."""
    allowed = f"name:role:sha256hex, separated by commas, with a role of {', '.join(ROLES)}"
    keys = []
    for part in _parts(raw):
        match = re.fullmatch(r"([A-Za-z0-9_.-]{1,64}):([a-z]+):([0-9a-fA-F]{64})", part)
        if match is None or match[2] not in ROLES:
            raise BadSetting(name, "(not shown)", allowed)
        keys.append(ApiKey(match[1], match[2], match[3].lower()))
    if not keys:
        raise BadSetting(name, raw, f"at least one {allowed}")
    return tuple(keys)


def list_of(one: Callable[[str, str], Any]) -> Callable[[str, str], tuple[Any, ...]]:
    """Check each part between commas; a list that names nothing is not allowed."""

    def parse(name: str, raw: str) -> tuple[Any, ...]:
        found = tuple(one(name, part) for part in _parts(raw))
        if not found:
            raise BadSetting(name, raw, "at least one value, or no setting at all")
        return found

    return parse


def _parts(raw: str) -> list[str]:
    return [part.strip() for part in raw.split(",") if part.strip()]


def role_of_theirs(name: str, raw: str) -> tuple[str, str]:
    """Check `THEIRS=OURS`, OURS being a role."""
    theirs, _, ours = raw.partition("=")
    if not theirs or ours not in ROLES:
        raise BadSetting(name, raw, f"THEIRS=OURS with OURS one of {', '.join(ROLES)}")
    return theirs, ours


def provider_url(name: str, raw: str) -> str:
    """Check an address whose responses are trusted: https, or this machine's own."""
    parts = urlsplit(url("https", "http")(name, raw))
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise BadSetting(name, raw, "https://HOST...")
    return raw
