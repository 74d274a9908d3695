"""Every setting, in one typed place.

A value comes from a flag, else the environment, else `./storelog.toml`, else the running
`storelog up` of the data directory, else its default. A bad one names itself on one line.
Secrets are marked here, and masked wherever settings are shown.
Next: cli/main.py
"""

import fcntl
import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from storelog.errors import BadSetting

PREFIX = "STORELOG_"
RUN_FILE = "run.json"
LOCK_FILE = "up.lock"
ROLES = ("read", "write", "import", "admin")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of the settings: its name, its role, and the SHA-256 of the key in hex."""

    name: str
    role: str
    sha256: str


def _text(_name: str, raw: str) -> str:
    return raw


def _url(*schemes: str) -> Callable[[str, str], str]:
    def parse(name: str, raw: str) -> str:
        try:
            parts = urlsplit(raw)
            if parts.scheme in schemes and parts.hostname:
                return raw
        except ValueError:
            pass
        raise BadSetting(name, mask_url(raw), " or ".join(f"{s}://HOST..." for s in schemes))

    return parse


def _integer(low: int, high: int) -> Callable[[str, str], int]:
    def parse(name: str, raw: str) -> int:
        if not re.fullmatch(r"-?\d{1,18}", raw) or not low <= int(raw) <= high:
            raise BadSetting(name, raw, f"a whole number from {low} to {high}")
        return int(raw)

    return parse


def _one_of(*allowed: str) -> Callable[[str, str], str]:
    def parse(name: str, raw: str) -> str:
        if raw not in allowed:
            raise BadSetting(name, raw, ", ".join(allowed))
        return raw

    return parse


def _flag(name: str, raw: str) -> bool:
    if raw.lower() not in ("true", "false"):
        raise BadSetting(name, raw, "true or false")
    return raw.lower() == "true"


def _matching(pattern: str, allowed: str) -> Callable[[str, str], str]:
    def parse(name: str, raw: str) -> str:
        if not re.fullmatch(pattern, raw):
            raise BadSetting(name, raw, allowed)
        return raw

    return parse


def _keys(name: str, raw: str) -> tuple[ApiKey, ...]:
    keys = []
    for part in filter(None, raw.split(",")):
        match = re.fullmatch(r"([A-Za-z0-9_.-]{1,64}):([a-z]+):([0-9a-fA-F]{64})", part.strip())
        if match is None or match[2] not in ROLES:
            allowed = f"name:role:sha256hex, separated by commas, with a role of {', '.join(ROLES)}"
            raise BadSetting(name, "(not shown)", allowed)
        keys.append(ApiKey(match[1], match[2], match[3].lower()))
    return tuple(keys)


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


_BOOTSTRAP = r"[^\s,:]+:\d{1,5}(,[^\s,:]+:\d{1,5})*"


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings; None where nothing names a server yet."""

    postgres_url: str | None = _setting(
        "the write side's PostgreSQL", _url("postgresql", "postgres"), is_secret=True
    )
    kafka_bootstrap_servers: str | None = _setting(
        "Kafka's brokers", _matching(_BOOTSTRAP, "HOST:PORT, separated by commas")
    )
    kafka_security_protocol: str = _setting(
        "how to speak to Kafka",
        _one_of("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
        "PLAINTEXT",
    )
    kafka_sasl_mechanism: str | None = _setting("how to log in to Kafka", _one_of(*_MECHANISMS))
    kafka_sasl_username: str | None = _setting("Kafka user", _text)
    kafka_sasl_password: str | None = _setting("Kafka password", _text, is_secret=True)
    kafka_ssl_ca: str | None = _setting("file of the CA that signed Kafka's certificates", _text)
    kafka_group_id: str = _setting(
        "consumer group of the projectors",
        _matching(r"[A-Za-z0-9._-]{1,200}", "letters, digits, . _ -"),
        "storelog-projector",
    )
    kafka_topic_prefix: str = _setting(
        "put before every topic's name",
        _matching(r"[A-Za-z0-9._-]{0,100}", "letters, digits, . _ -, at most 100"),
        "",
    )
    kafka_replication_factor: int = _setting(
        "copies of each partition of a new topic", _integer(1, 15), 1, unit="copies"
    )
    kafka_lanes: int = _setting(
        "lanes of a new system: partitions of each topic", _integer(1, 256), 3, unit="partitions"
    )
    mongodb_uri: str | None = _setting(
        "the read side's MongoDB", _url("mongodb", "mongodb+srv"), is_secret=True
    )
    command_url: str = _setting(
        "where the Command Service answers", _url("http", "https"), "http://127.0.0.1:8080"
    )
    query_url: str = _setting(
        "where the Query Service answers", _url("http", "https"), "http://127.0.0.1:8081"
    )
    relay_url: str | None = _setting("where the relay's health answers", _url("http", "https"))
    projector_url: str | None = _setting(
        "where the projector's health answers", _url("http", "https")
    )
    api_keys: tuple[ApiKey, ...] = _setting(
        "keys: name:role:sha256hex, separated by commas", _keys, (), is_secret=True
    )
    api_key: str | None = _setting("the key that `storelog` itself sends", _text, is_secret=True)
    allow_anonymous: bool = _setting("listen beyond loopback without any key", _flag, False)
    currency: str = _setting(
        "the shop's currency", _matching(r"[A-Z]{3}", "three capital letters (ISO 4217)"), "EUR"
    )
    idempotency_hours: int = _setting(
        "how long an Idempotency-Key is remembered", _integer(1, 8760), 24, unit="hours"
    )
    max_queued_commands: int = _setting(
        "commands that may wait in one Command Service", _integer(1, 100_000), 2000, unit="commands"
    )
    command_deadline_seconds: int = _setting(
        "how long a command may take in all", _integer(1, 60), 10, unit="seconds"
    )
    log_level: str = _setting(
        "least level that is logged", _one_of("debug", "info", "warning", "error"), "info"
    )
    log_format: str = _setting("how log lines look", _one_of("human", "json"), "human")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, where each came from (flag, environment, file, up, default), and the directory."""

    settings: Settings
    sources: Mapping[str, str]
    data_dir: Path


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
    home = data_dir or Path(environ.get(PREFIX + "DATA_DIR") or file.pop("data_dir", ".storelog"))
    file.pop("data_dir", None)
    running = running_settings(home) if use_running else {}
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
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
    return Loaded(Settings(**values), sources, home.resolve())


def _read_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        parsed = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSetting(str(path), str(error), "a TOML file") from error
    return {k: str(v).lower() if isinstance(v, bool) else v for k, v in parsed.items()}


def is_running(data_dir: Path) -> bool:
    """Tell whether a `storelog up` holds the data directory's lock."""
    try:
        with (data_dir / LOCK_FILE).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def running_settings(data_dir: Path) -> dict[str, Any]:
    """Return the settings that a running `storelog up` of the directory wrote, or none."""
    if not is_running(data_dir):
        return {}
    try:
        facts = json.loads((data_dir / RUN_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    settings = facts.get("settings", {})
    return settings if isinstance(settings, dict) else {}


def mask_url(url: str) -> str:
    """Return the URL with its password as ***."""
    return re.sub(r"(://[^/@:]*):[^@]*@", r"\1:***@", url)


def shown(name: str, value: Any) -> str:
    """Return a setting's value as it may be shown."""
    metadata = next(f.metadata for f in fields(Settings) if f.name == name)
    if value is None:
        return ""
    if name == "api_keys":
        return ",".join(f"{key.name}:{key.role}:***" for key in value)
    if metadata["is_secret"]:
        return mask_url(value) if "://" in str(value) else "***"
    return str(value)
