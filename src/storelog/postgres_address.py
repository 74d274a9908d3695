"""The address of PostgreSQL, in every form that libpq documents for a connection URI.

Guarantees that an accepted address can be used: each host with its port, and the parameters.
Parameters of libpq that concern only how it connects, or that Storelog sets itself, are left out.
Next: postgres.py
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

SCHEMES = ("postgresql", "postgres")
DEFAULT_PORT = 5432
# Parameters of libpq itself: a server would reject them as unknown settings.
_LIBPQS_OWN = re.compile(
    "application_name|channel_binding|client_encoding|fallback_application_name|gssdelegation"
    "|gssencmode|keepalives(_count|_idle|_interval)?|load_balance_hosts|(max|min)_protocol_version"
    "|requirepeer|require_auth|ssl(certmode|compression|crldir|sni)|target_session_attrs"
    "|tcp_user_timeout"
)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)(?::(\d*))?")


@dataclass(frozen=True, slots=True)
class Address:
    """`hosts`: (host, port) in the order in which they are tried; none: where libpq would look.

    `connect_timeout`: seconds that one host may take, None without a limit of the address's own.
    """

    hosts: Sequence[tuple[str, int]]
    parameters: dict[str, str]
    connect_timeout: float | None

    @property
    def dsn(self) -> str:
        """Return everything but the hosts, as the driver reads it."""
        pairs = (f"{name}={quote(value, safe='')}" for name, value in self.parameters.items())
        return f"postgresql://?{'&'.join(pairs)}" if self.parameters else "postgresql://"


def parse_address(url: str) -> Address:
    """Return the address's parts. Raises ValueError."""
    scheme, separator, rest = url.partition("://")
    if scheme not in SCHEMES or not separator:
        raise ValueError("another scheme")
    rest, _, query = rest.partition("?")
    place, _, database = rest.partition("/")
    login, _, hosts = place.rpartition("@")
    user, _, password = login.partition(":")
    parameters = {
        name: _decoded(value)
        for name, value in (("dbname", database), ("user", user), ("password", password))
        if value
    }
    parameters |= _read_query(query)
    named = parameters.pop("host", "") or parameters.pop("hostaddr", "")
    parameters.pop("hostaddr", None)
    ports = parameters.pop("port", "")
    given = [(host, "") if _is_whole(host) else _divided(host) for host in _listed(named)]
    given = given or [(_decoded(host), port) for host, port in map(_divided, _listed(hosts))]
    timeout = int(parameters.pop("connect_timeout", "0") or 0)
    kept = {name: value for name, value in parameters.items() if not _LIBPQS_OWN.fullmatch(name)}
    return Address(_with_ports(given, ports.split(",")), kept, timeout if timeout > 0 else None)


def _read_query(query: str) -> dict[str, str]:
    found = {}
    for pair in query.split("&") if query else ():
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise ValueError("a parameter without a value")
        found[_decoded(name)] = _decoded(value)
    # JDBC's form of the parameter.
    if (is_ssl := found.pop("ssl", None)) is not None and is_ssl == "true":
        found.setdefault("sslmode", "require")
    return found


def _decoded(text: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})|%00", text):
        raise ValueError("a percent sign that stands for no character")
    return unquote(text, errors="strict")


def _listed(hosts: str) -> list[str]:
    return hosts.split(",") if hosts else []


def _is_whole(host: str) -> bool:
    """Tell whether a host among the parameters is a socket's directory or a bare IPv6 address."""
    return host.startswith("/") or (host.count(":") > 1 and "[" not in host)


def _divided(host: str) -> tuple[str, str]:
    """Return a host and its port, "" without one."""
    match = _HOST.fullmatch(host)
    if match is None:
        raise ValueError("no host")
    return match[1].strip("[]"), match[2] or ""


def _with_ports(
    given: Sequence[tuple[str, str]], ports: Sequence[str]
) -> Sequence[tuple[str, int]]:
    """Return each host with its port: its own, else one of as many ports, or the one for all."""
    given = given or ([("", "")] if ports[0] else [])
    if given and len(ports) not in (1, len(given)):
        raise ValueError("not as many ports as hosts")
    found = []
    for number, (host, own) in enumerate(given):
        port = int(own or ports[number if len(ports) > 1 else 0] or DEFAULT_PORT)
        if not 0 < port < 65_536:
            raise ValueError("no port")
        if not host.startswith("/"):
            host.encode("idna")
        found.append((host or "localhost", port))
    return found
