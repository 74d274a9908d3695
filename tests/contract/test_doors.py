"""What stands before every handler: rate limits, origins, tokens of a provider, headers."""

from collections.abc import Iterator
from hashlib import sha256

import pytest

from support.embedded import EmbeddedServers, new_settings
from support.http import Client
from support.provider import AUDIENCE, Provider
from support.system import ANN, System

PER_KEY, PER_ADDRESS = 20, 150
SHOP_PAGE = "https://shop.example"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        provider.add_rsa("one")
        yield provider


@pytest.fixture(scope="module")
def guarded(servers: EmbeddedServers, provider: Provider) -> Iterator[System]:
    keys = [f"k{n}:write:{sha256(f'k{n}'.encode()).hexdigest()}" for n in range(9)]
    environment = {
        "STORELOG_API_KEYS": ",".join(keys),
        "STORELOG_RATE_LIMIT_PER_KEY": f"{PER_KEY}/hour",
        "STORELOG_RATE_LIMIT_PER_ADDRESS": f"{PER_ADDRESS}/hour",
        "STORELOG_CORS_ORIGINS": f"{SHOP_PAGE}, http://localhost:3000",
        "STORELOG_OIDC_ISSUER": provider.issuer,
        "STORELOG_OIDC_AUDIENCE": AUDIENCE,
    }
    with System(new_settings(servers), ("command-service",), environment=environment) as system:
        yield system


def test_a_token_is_as_good_as_a_key_and_is_named_in_the_log(
    guarded: System, provider: Provider
) -> None:
    url = guarded.commands.url
    assert Client(url, provider.token("one", roles=["write"])).post("/customers", ANN).status == 201
    assert Client(url, provider.token("one", roles=["read"])).post("/customers", ANN).status == 403
    assert Client(url, provider.token("one", roles=[])).get("/metrics").status == 403
    late = Client(url, provider.token("one", exp=1)).get("/metrics")
    assert (late.status, late.slug) == (401, "unauthenticated")
    assert "expired" in late.json["detail"]
    assert Client(url, provider.token("one")[:-4]).get("/metrics").status == 401
    callers = {row["caller"] for row in guarded.sql("SELECT DISTINCT caller FROM events")}
    assert callers == {"oidc:ann"}


def test_responses_tell_how_many_requests_are_left_and_429_when_to_retry(guarded: System) -> None:
    client = Client(guarded.commands.url, "k1")
    for left in reversed(range(PER_KEY)):
        reply = client.get("/metrics")
        assert reply.status == 200
        assert f'"key";r={left};t=' in reply.headers["ratelimit"]
        assert f'"key";q={PER_KEY};w=3600' in reply.headers["ratelimit-policy"]
    refused = client.post("/customers", ANN)
    assert (refused.status, refused.slug) == (429, "too-many-requests")
    assert 1 <= int(refused.headers["retry-after"]) <= 3600
    assert '"key";r=0' in refused.headers["ratelimit"]
    assert Client(guarded.commands.url, "k2").get("/metrics").status == 200, "each key has its own"


def test_what_needs_no_key_is_counted_by_its_address(guarded: System) -> None:
    for path in ("/", "/docs", "/openapi.json", "/problems/not-found"):
        assert '"key";r=' in guarded.commands.get(path).headers["ratelimit"]
    assert "ratelimit" not in guarded.commands.get("/health/live").headers


def test_pages_of_other_origins_are_let_in_only_by_name(guarded: System) -> None:
    client = Client(guarded.commands.url, "k3")
    asked = {"Access-Control-Request-Method": "POST"}
    allowed = client.send("OPTIONS", "/orders", headers={"Origin": SHOP_PAGE, **asked})
    assert allowed.status == 204
    assert allowed.headers["access-control-allow-origin"] == SHOP_PAGE
    assert "Idempotency-Key" in allowed.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in allowed.headers
    assert client.get("/", {"Origin": SHOP_PAGE}).headers["access-control-expose-headers"]
    for origin in ("https://evil.example", "null", f"{SHOP_PAGE}.evil.example", "*"):
        refused = client.send("OPTIONS", "/orders", headers={"Origin": origin, **asked})
        assert refused.status == 405
        answer = client.get("/", {"Origin": origin})
        assert "access-control-allow-origin" not in answer.headers
        assert "Origin" in answer.headers["vary"]


def test_without_settings_no_page_of_another_origin_is_let_in(commands: Client) -> None:
    asked = {"Origin": SHOP_PAGE, "Access-Control-Request-Method": "POST"}
    for method in ("OPTIONS", "GET"):
        reply = commands.send(method, "/orders", headers=asked)
        assert not [name for name in reply.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/", "/docs", "/nothing", "/health/live"])
def test_every_response_carries_the_security_headers(commands: Client, path: str) -> None:
    headers = commands.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "server" not in headers


def test_one_address_is_limited_whatever_it_claims_to_be(guarded: System) -> None:
    statuses = [
        Client(guarded.commands.url, f"guess{n}").get("/metrics").status for n in range(PER_ADDRESS)
    ]
    assert set(statuses) == {401, 429}
    assert Client(guarded.commands.url, "k4").get("/").status == 429
    assert guarded.commands.get("/health/live").status == 200, "probes are not counted"
