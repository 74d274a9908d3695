"""Every setting, in one typed place.

A value comes from a flag, else the environment, else `./storelog.toml`, else the running
`storelog up` of the data directory, else its default. A bad one names itself on one line.
Secrets are marked here, and masked wherever settings are shown.
Next: cli/main.py
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from storelog import setting_types as types
from storelog.errors import BadSetting, BadUse
from storelog.running import running_settings
from storelog.setting_types import ApiKey, mask_url

PREFIX = "STORELOG_"
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")


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
_ALLOWED_HOST = r"\*|[A-Za-z0-9._-]{1,253}|\[?[0-9A-Fa-f:.]{2,45}\]?"
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
        types.url("postgresql", "postgres"),
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
        "file of the CA that signed Kafka's certificates", types.text
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
        "where the Command Service answers", types.url("http", "https"), "http://127.0.0.1:8080"
    )
    query_url: str = _setting(
        "where the Query Service answers", types.url("http", "https"), "http://127.0.0.1:8081"
    )
    relay_url: str | None = _setting("where the relay's health answers", types.url("http", "https"))
    projector_url: str | None = _setting(
        "where the projector's health answers", types.url("http", "https")
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
        types.list_of(types.matching(_ALLOWED_HOST, "HOST,HOST,... without ports, or *")),
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
        "requests from one address in each process, whoever sends them, as 600/minute",
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


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, where each came from (flag, environment, file, up, default), and the directory."""

    settings: Settings
    sources: Mapping[str, str]
    data_dir: Path

    def named(self, name: str) -> str | None:
        """Return an address that a setting or a running `up` names; None where none does."""
        address: str | None = getattr(self.settings, name)
        return None if self.sources[name] == "default" else address


def load(
    flags: Mapping[str, str | None] | None = None,
    environ: Mapping[str, str] | None = None,
    data_dir: Path | None = None,
    *,
    use_running: bool = True,
) -> Loaded:
    """Read all settings. `flags` has field names; an empty variable counts as not set.

    Raises BadSetting.
    """
    environ = os.environ if environ is None else environ
    file = _read_file(Path("storelog.toml"))
    home, home_source = _home(data_dir, environ, file.pop("data_dir", None))
    running = running_settings(home) if use_running else {}
    values: dict[str, Any] = {}
    sources = {"data_dir": home_source}
    for entry in fields(Settings):
        candidates = (
            ("flag", (flags or {}).get(entry.name)),
            ("environment", environ.get(PREFIX + entry.name.upper()) or None),
            ("file", file.pop(entry.name, None)),
            ("up", running.get(entry.name)),
        )
        source, raw = next(((s, r) for s, r in candidates if r is not None), ("default", None))
        sources[entry.name] = source
        if raw is not None:
            values[entry.name] = entry.metadata["parse"](PREFIX + entry.name.upper(), str(raw))
    if file:
        raise BadSetting("storelog.toml", sorted(file)[0], "the settings of `storelog config`")
    try:
        return Loaded(Settings(**values), sources, Path(os.path.realpath(home)))
    except FileNotFoundError as error:
        raise BadUse("the working directory is not there any more") from error


def _home(flag: Path | None, environ: Mapping[str, str], in_file: Any) -> tuple[Path, str]:
    """Return the data directory and where it was named."""
    named = environ.get(PREFIX + "DATA_DIR")
    if flag is not None:
        return flag, "flag"
    if named:
        return Path(named), "environment"
    if in_file is None:
        return Path(".storelog"), "default"
    if not isinstance(in_file, str) or not in_file or "\0" in in_file:
        raise BadSetting("storelog.toml: data_dir", in_file, "a path")
    return Path(in_file), "file"


def _read_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        parsed = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSetting(str(path), str(error), "a TOML file") from error
    return {k: str(v).lower() if isinstance(v, bool) else v for k, v in parsed.items()}


def shown(name: str, value: Any) -> str:
    """Return a setting's value as it may be shown."""
    metadata = next(f.metadata for f in fields(Settings) if f.name == name)
    if value is None:
        return ""
    if name == "api_keys":
        return ",".join(f"{key.name}:{key.role}:***" for key in value)
    if isinstance(value, tuple):
        return ",".join("=".join(part) if isinstance(part, tuple) else part for part in value)
    if metadata["is_secret"]:
        return mask_url(value) if "://" in str(value) else "***"
    return str(value)
