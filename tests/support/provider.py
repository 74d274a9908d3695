"""An OpenID provider on loopback: its configuration, its key set, and tokens that it signs."""

import asyncio
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from storelog.config import Settings
from storelog.web.tokens import Tokens

AUDIENCE = "storelog"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class Provider:
    """Serves HTTP while it is a context; `reads` counts how often its key set was asked for."""

    def __init__(self) -> None:
        self.keys: dict[str, PrivateKey] = {}
        self.reads = 0
        self.is_away = False
        # Cleared: its responses do not come, as with a provider that hangs.
        self.answers = threading.Event()
        self.answers.set()
        # What each key of the set says of itself beside its type and id.
        self.facts: dict[str, Any] = {"use": "sig"}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.answers.wait(60)
                body = provider.answer(self.path)
                self.send_response(503 if body is None else 200)
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}/shop"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def answer(self, path: str) -> bytes | None:
        if self.is_away:
            return None
        if path == "/shop/.well-known/openid-configuration":
            return json.dumps({"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}).encode()
        self.reads += 1
        keys = [{**_public(k, key), **self.facts} for k, key in self.keys.items()]
        return json.dumps({"keys": keys}).encode()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.answers.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def add_rsa(self, kid: str) -> None:
        self.keys[kid] = rsa.generate_private_key(65537, 2048)

    def add_ec(self, kid: str, curve: ec.EllipticCurve | None = None) -> None:
        self.keys[kid] = ec.generate_private_key(curve or ec.SECP256R1())

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        return {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "ann",
            "exp": now + 300,
            "iat": now,
            "roles": ["write"],
            **changes,
        }

    def token(
        self, name: str, algorithm: str = "RS256", *, kid: str | None = None, **changes: Any
    ) -> str:
        """Return a token signed by a key; `kid`: the id that it names instead of the key's own."""
        claims = {k: v for k, v in self.claims(**changes).items() if v is not None}
        return jwt.encode(claims, self.keys[name], algorithm, {"kid": kid or name})


def _public(kid: str, key: PrivateKey) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPrivateKey):
        facts = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        facts = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**facts, "kid": kid}


def settings(provider: Provider, **changes: Any) -> Settings:
    """Return settings that accept the provider's tokens."""
    return Settings(oidc_issuer=provider.issuer, oidc_audience=AUDIENCE, **changes)


def role_of(checked: Tokens, token: str) -> tuple[str, str]:
    """Return whose token it is, and the role it gives."""
    caller = asyncio.run(checked.caller(token))
    return caller.name, caller.role
