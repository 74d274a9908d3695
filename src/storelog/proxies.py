"""Chooses the proxy of a request, as the environment names it: none for this machine's own names.

Guarantees that loopback is reached directly whatever `http_proxy` says, and that everything else
heeds `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`.
"""

import ipaddress
import urllib.request
from typing import Any
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Tell whether the host, a name or an address, is this machine's own (RFC 6761, 6.3)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    # ::ffff:127.0.0.1 is loopback too, though Python does not say so.
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def is_own(url: str) -> bool:
    """Tell whether a URL's host is this machine's own."""
    return is_loopback(urlsplit(url).hostname or "")


def proxy_of(url: str) -> str | None:
    """Return the URL of the proxy that a request to `url` goes through, None for none."""
    parts = urlsplit(url)
    if is_own(url) or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return _named().get(parts.scheme)


def _named() -> dict[str, str]:
    """Return the proxy of each scheme for which the environment names one."""
    named = urllib.request.getproxies()
    schemes = {scheme: named.get(scheme) or named.get("all") for scheme in ("http", "https")}
    return {
        scheme: proxy if "://" in proxy else f"http://{proxy}"
        for scheme, proxy in schemes.items()
        if proxy
    }


def open_url(request: str | urllib.request.Request, seconds: float) -> Any:
    """Open a URL as `urllib.request.urlopen` does, each wait `seconds` at most.

    After a redirect too, a host that `no_proxy` names is reached directly.
    """
    url = request if isinstance(request, str) else request.full_url
    # An empty set of proxies also turns off those of the environment.
    proxies = urllib.request.ProxyHandler({} if is_own(url) else _named())
    return urllib.request.build_opener(proxies).open(request, timeout=seconds)
