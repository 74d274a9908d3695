"""Limits the hosts that a request may name while there is no key, so that anyone may do everything.

A web page whose name is made to point at loopback (DNS rebinding) reaches a service on this
machine, but its requests name the page's host: they get 421 and do nothing. Once there is a key,
the key protects the service, and every host is served.
Next: web/admission.py
"""

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from storelog.config import Settings
from storelog.errors import BadSetting, Malformed, ProtocolRefusal
from storelog.proxies import is_loopback
from storelog.typed_cache import cached

ANY = "*"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# RFC 3986, section 3.2.2, without a user.
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?")
_DETAIL = (
    "Without keys only loopback names, the hosts of STORELOG_COMMAND_URL and STORELOG_QUERY_URL and"
    " those of STORELOG_ALLOWED_HOSTS are served."
)


class Hosts:
    """The hosts that one service serves without a key."""

    def __init__(self, settings: Settings) -> None:
        urls = (settings.command_url, settings.query_url)
        own = [urlsplit(url).hostname or "localhost" for url in urls]
        self._is_any = ANY in settings.allowed_hosts
        self._served = {_bare(host) for host in (*LOOPBACK, *own, *settings.allowed_hosts)}

    def check(self, headers: Mapping[str, str]) -> None:
        """Raise ProtocolRefusal 421 for any other host, or without one."""
        host = host_of(headers)
        if not (self._is_any or host in self._served or is_loopback(host)):
            raise ProtocolRefusal(421, "misdirected-request", _DETAIL)


def host_of(headers: Mapping[str, str]) -> str:
    """Return the host of a request, in lower case without port and final dot; "" for none.

    Raises Malformed.
    """
    return _host(headers.get("host", ""))


# Nearly all requests name the same few hosts, and each request needs its host more than once.
@cached(32)
def _host(field: str) -> str:
    found = _HOST.fullmatch(field)
    if found is None:
        raise Malformed("The Host field is not HOST or HOST:PORT.")
    return _bare(found[1])


def check_allowed_hosts(settings: Settings) -> None:
    """Raise BadSetting where `allow_anonymous` is true and no setting says for which hosts."""
    if settings.allow_anonymous and not settings.allowed_hosts:
        raise BadSetting(
            "STORELOG_ALLOWED_HOSTS",
            "",
            "the hosts under which clients reach the services, separated by commas, or *, where"
            " STORELOG_ALLOW_ANONYMOUS is true",
        )


def _bare(host: str) -> str:
    bare = host.lower().removesuffix(".").strip("[]")
    try:
        return str(ipaddress.IPv6Address(bare)) if ":" in bare else bare
    except ValueError:
        return bare
