"""Loads the settings.

A value comes from a flag, else the environment, else `./storelog.toml`, else the running `storelog
up` of the data directory, else its default. A bad value is an error of one line with its name.
Secrets are marked here, and masked wherever settings are shown.
Next: cli/main.py
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from storelog.errors import BadSetting, BadUse
from storelog.kafka_login import check_login
from storelog.running import running_settings
from storelog.setting_types import mask_url
from storelog.settings import Settings as Settings

PREFIX = "STORELOG_"
_MAX_FILE_BYTES = 65_536


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
        variable = PREFIX + entry.name.upper()
        given = environ.get(variable) or None
        in_file = file.pop(entry.name, None)
        if entry.metadata["is_secret"]:
            given = _or_file(variable, given, environ.get(f"{variable}_FILE") or None)
            in_file = _or_file(entry.name, in_file, file.pop(f"{entry.name}_file", None))
        candidates = (
            ("flag", (flags or {}).get(entry.name)),
            ("environment", given),
            ("file", in_file),
            ("up", running.get(entry.name)),
        )
        source, raw = next(((s, r) for s, r in candidates if r is not None), ("default", None))
        sources[entry.name] = source
        if raw is not None:
            values[entry.name] = entry.metadata["parse"](variable, str(raw))
    # Every known setting was taken out above: what remains is misspelt.
    if file:
        raise BadSetting("storelog.toml", sorted(file)[0], "the settings of `storelog config`")
    # Each value is valid by now; the login to Kafka needs several of them together.
    settings = Settings(**values)
    check_login(settings)
    try:
        return Loaded(settings, sources, Path(os.path.realpath(home)))
    except FileNotFoundError as error:
        raise BadUse("the working directory does not exist any more") from error


def _or_file(name: str, value: Any, path: Any) -> Any:
    """Return a secret's value, or the content of the file named instead. Raises BadSetting.

    Errors never show the content of the file.
    """
    if path is None:
        return value
    if value is not None:
        raise BadSetting(f"{name}_FILE", path, f"only one of it and {name}")
    try:
        with Path(str(path)).open("rb") as file:
            raw = file.read(_MAX_FILE_BYTES + 1)
        text = raw.decode().rstrip("\r\n")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise BadSetting(f"{name}_FILE", path, f"a file that can be read ({why})") from error
    if not text or len(raw) > _MAX_FILE_BYTES:
        raise BadSetting(f"{name}_FILE", path, f"a file of 1 to {_MAX_FILE_BYTES} bytes")
    return text


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
