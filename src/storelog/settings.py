"""Every setting, in one typed place: its help text, its parser, its default, its unit.

Secrets are marked here; each can also be read from a file that the setting with `_FILE` names.
Next: config.py
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from storelog import setting_types as types
from storelog.setting_types import ApiKey

_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
AWS_MSK_IAM = "AWS_MSK_IAM"
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", AWS_MSK_IAM)


def _setting(
    about: str,
    parse: Callable[[str, str], Any],
    default: Any = None,
    *,
    unit: str = "",
    is_secret: bool = False,
) -> Any:
    metadata = {"about": about, "parse": parse, "unit": unit, "is_secret": is_secret}
    return field(default=default, metadata=metadata)


_RATE = r"[1-9]\d{0,8}/([1-9]\d{0,3} ?)?(second|minute|hour|day)"
_BROKER = r"([^\s,:\[\]]+|\[[0-9A-Fa-f:.]{2,45}\]):\d{1,5}"
_BOOTSTRAP = f"{_BROKER}(,{_BROKER})*"


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings; None where nothing names a server yet."""

    postgres_url: str | None = _setting(
        "the write side's PostgreSQL", types.postgres_url, is_secret=True
    )
    keys_postgres_url: str | None = _setting(
        "the account by which the Command Service makes and revokes keys, if not `postgres_url`'s",
        types.postgres_url,
        is_secret=True,
    )
    kafka_bootstrap_servers: str | None = _setting(
        "Kafka's brokers", types.matching(_BOOTSTRAP, "HOST:PORT, separated by commas")
    )
    kafka_security_protocol: str = _setting(
        "how to speak to Kafka",
        types.one_of("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
        "PLAINTEXT",
    )
    kafka_sasl_mechanism: str | None = _setting(
        "how to log in to Kafka", types.one_of(*_MECHANISMS)
    )
    kafka_sasl_username: str | None = _setting("Kafka user", types.text)
    kafka_sasl_password: str | None = _setting("Kafka password", types.text, is_secret=True)
    kafka_ssl_ca: str | None = _setting(
        "file of the CA that signed Kafka's certificates", types.file
    )
    kafka_ssl_certificate: str | None = _setting(
        "file of the certificate that this client shows to Kafka (PEM)", types.file
    )
    kafka_ssl_key: str | None = _setting("file of that certificate's key (PEM)", types.file)
    kafka_ssl_key_password: str | None = _setting(
        "password of that key", types.text, is_secret=True
    )
    kafka_oauth_token_url: str | None = _setting(
        "where OAUTHBEARER gets its tokens", types.provider_url
    )
    kafka_oauth_client_id: str | None = _setting("client that requests them", types.text)
    kafka_oauth_client_secret: str | None = _setting(
        "secret of that client", types.text, is_secret=True
    )
    kafka_oauth_scope: str | None = _setting("scope that it requests", types.text)
    kafka_oauth_extensions: str | None = _setting(
        "SASL extensions of OAUTHBEARER",
        types.matching(r"[A-Za-z]+=[^,=]+(,[A-Za-z]+=[^,=]+)*", "NAME=VALUE,..."),
    )
    kafka_aws_region: str | None = _setting(
        "AWS region of Amazon MSK, for AWS_MSK_IAM",
        types.matching(r"[a-z0-9-]{1,40}", "as eu-west-1"),
    )
    kafka_group_id: str = _setting(
        "consumer group of the projectors",
        types.matching(r"[A-Za-z0-9._-]{1,200}", "letters, digits, . _ -"),
        "storelog-projector",
    )
    kafka_topic_prefix: str = _setting(
        "put before every topic's name",
        types.matching(r"[A-Za-z0-9._-]{0,100}", "letters, digits, . _ -, at most 100"),
        "",
    )
    kafka_replication_factor: int = _setting(
        "copies of each partition of a new topic", types.integer(1, 15), 1, unit="copies"
    )
    kafka_lanes: int = _setting(
        "lanes of a new system: partitions of each topic",
        types.integer(1, 256),
        3,
        unit="partitions",
    )
    mongodb_uri: str | None = _setting(
        "the read side's MongoDB", types.url("mongodb", "mongodb+srv"), is_secret=True
    )
    command_url: str = _setting(
        "address of the Command Service", types.url("http", "https"), "http://127.0.0.1:8080"
    )
    query_url: str = _setting(
        "address of the Query Service", types.url("http", "https"), "http://127.0.0.1:8081"
    )
    relay_url: str | None = _setting("address of the relay's health", types.url("http", "https"))
    projector_url: str | None = _setting(
        "address of the projector's health", types.url("http", "https")
    )
    api_keys: tuple[ApiKey, ...] = _setting(
        "keys: name:role:sha256hex, separated by commas", types.keys, (), is_secret=True
    )
    api_key: str | None = _setting(
        "the key that `storelog` itself sends", types.secret_text, is_secret=True
    )
    oidc_issuer: str | None = _setting(
        "OpenID provider whose tokens are accepted beside keys", types.provider_url
    )
    oidc_audience: str | None = _setting("audience that its tokens must name", types.text)
    oidc_jwks_url: str | None = _setting(
        "its key set, if not the one its configuration names", types.provider_url
    )
    oidc_algorithms: tuple[str, ...] = _setting(
        "algorithms that may sign a token",
        types.list_of(types.one_of(*_ALGORITHMS)),
        ("RS256", "ES256"),
    )
    oidc_roles_claim: str = _setting(
        "claim with the roles, with dots for a claim in a claim",
        types.matching(r"[^\s.]+(\.[^\s.]+){0,4}", "NAME or NAME.NAME"),
        "roles",
    )
    oidc_roles: tuple[tuple[str, str], ...] = _setting(
        "THEIRS=OURS,... beside our own roles' names", types.list_of(types.role_of_theirs), ()
    )
    allow_anonymous: bool = _setting("listen beyond loopback without any key", types.flag, False)
    allowed_hosts: tuple[str, ...] = _setting(
        "hosts that are served without any key, beside loopback and those of the services' URLs",
        types.list_of(types.host),
        (),
    )
    currency: str = _setting(
        "the shop's currency",
        types.matching(r"[A-Z]{3}", "three capital letters (ISO 4217)"),
        "EUR",
    )
    idempotency_hours: int = _setting(
        "how long an Idempotency-Key is remembered", types.integer(1, 8760), 24, unit="hours"
    )
    max_queued_commands: int = _setting(
        "commands that may wait in one Command Service",
        types.integer(1, 100_000),
        2000,
        unit="commands",
    )
    command_deadline_seconds: int = _setting(
        "how long a command may take in all", types.integer(1, 60), 10, unit="seconds"
    )
    leader_host: str | None = _setting(
        "address of this Command Service's machine for the others; none: as PostgreSQL sees it",
        types.matching(r"[A-Za-z0-9._:-]{1,253}", "a name or an address of this machine"),
    )
    leader_port: int = _setting(
        "port that the leading Command Service takes the others' commands on; 0: any",
        types.integer(0, 65_535),
        0,
        unit="port",
    )
    max_connections: int = _setting(
        "connections that a process serves at once",
        types.integer(1, 60_000),
        4000,
        unit="connections",
    )
    max_connections_per_client: int = _setting(
        "connections from one address", types.integer(1, 60_000), 1500, unit="connections"
    )
    max_requests_in_flight: int = _setting(
        "requests that a service works on at once", types.integer(1, 60_000), 2500, unit="requests"
    )
    rate_limit_per_key: str | None = _setting(
        "requests of one key (or address, without keys) in each process, as 600/minute",
        types.matching(_RATE, "N/second, N/minute, N/hour or N/day, or N/M second..."),
    )
    rate_limit_per_address: str | None = _setting(
        "requests from one address in each process, with any key, as 600/minute",
        types.matching(_RATE, "N/second, N/minute, N/hour or N/day, or N/M second..."),
    )
    cors_origins: tuple[str, ...] = _setting(
        "origins whose pages may call the services",
        types.list_of(types.matching(r"https?://[A-Za-z0-9.\[\]:-]+", "https://HOST[:PORT],...")),
        (),
    )
    console: bool = _setting("serve the console under /console", types.flag, True)
    console_origins: tuple[str, ...] = _setting(
        "origins from which the console takes writes, beside that of `query_url`",
        types.list_of(types.matching(r"https?://[A-Za-z0-9.\[\]:-]+", "https://HOST[:PORT],...")),
        (),
    )
    log_level: str = _setting(
        "least level that is logged", types.one_of("debug", "info", "warning", "error"), "info"
    )
    log_format: str = _setting("how log lines look", types.one_of("human", "json"), "human")
    otlp_endpoint: str | None = _setting(
        "where traces are sent by OTLP over HTTP; none: no tracing", types.url("http", "https")
    )
    trace_percent: int = _setting(
        "how many of the requests that begin a trace are traced",
        types.integer(0, 100),
        100,
        unit="percent",
    )
