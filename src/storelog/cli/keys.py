"""`storelog keys`: creates, lists and revokes API keys without a restart."""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import typer

from storelog.cli.options import AsJson, DataDir, print_json, run_async, settings_of
from storelog.config import Settings
from storelog.envelope import cut_off, format_time, parse_day_or_time, to_moment
from storelog.errors import BadUse, CannotRun
from storelog.reasons import reason
from storelog.setting_types import ROLES

T = TypeVar("T")
app = typer.Typer(no_args_is_help=True, help="API keys: create, list, revoke.")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
_SPAN = re.compile(r"([1-9]\d{0,4})([hd])")
_FIRST = """
This is the first key. Within 2 s it closes both services, and the metrics of all four processes,
for good: each request needs a key then. Set STORELOG_API_KEY for commands that call a service."""
OwnerName = Annotated[str, typer.Argument(help="The name by which the log knows the key's owner.")]


@app.command("create")
def create(
    name: OwnerName,
    role: Annotated[str, typer.Option(help=f"What it may do: {', '.join(ROLES)}.")],
    expires: Annotated[
        str | None,
        typer.Option(help="When it ends: 90d, 12h, a day, or a time.", show_default=False),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Create a key and print it once. Example: storelog keys create till-1 --role write"""
    from storelog import api_keys

    if not _NAME.fullmatch(name) or role not in ROLES:
        raise BadUse(f"a name has letters, digits, . _ -, at most 64; a role is {', '.join(ROLES)}")
    if expires is not None:
        # Checked before any server is needed; the real check uses PostgreSQL's time.
        parse_expiry(expires, _BEFORE_ALL)
    settings = settings_of(data_dir, "postgres_url").settings
    if any(key.name == name for key in settings.api_keys):
        raise BadUse(f"STORELOG_API_KEYS has a key of the name {name}")

    async def make(connection: Any) -> tuple[str, bool, datetime | None]:
        # By PostgreSQL's clock, since this machine's may be wrong and PostgreSQL's decides.
        now = await _now(connection)
        ends = None if expires is None else parse_expiry(expires, now)
        return *await api_keys.create(connection, name, role, ends), ends

    key, is_first, ends = _run(settings, make)
    if as_json:
        ends_at = None if ends is None else format_time(ends)
        facts = {"name": name, "role": role, "expires_at": ends_at, "key": key}
        print_json({**facts, "is_first": is_first})
        return
    until = "until it is revoked" if ends is None else f"until {format_time(ends)}"
    print(f"{name} ({role}), valid {until}. The key is not stored and not shown again:\n\n  {key}")
    if is_first and not (settings.api_keys or settings.oidc_issuer):
        print(_FIRST)


@app.command("list")
def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Print all keys ever created, without their text. Example: storelog keys list"""
    from storelog import api_keys

    async def read(connection: Any) -> list[dict[str, Any]]:
        now = await _now(connection)
        return [key.facts(now) for key in await api_keys.issued(connection)]

    rows = _run(settings_of(data_dir, "postgres_url").settings, read)
    if as_json:
        print_json({"keys": rows})
        return
    if not rows:
        print("no key was ever created: see `storelog keys create --help`")
    for row in rows:
        ends = row["revoked_at"] or row["expires_at"] or "-"
        print(f"{row['name']:<24} {row['role']:<7} {row['state']:<8} {row['created_at']}  {ends}")


@app.command("revoke")
def revoke(name: OwnerName, data_dir: DataDir = None) -> None:
    """Revoke a key: both services reject it within 2 s. Example: storelog keys revoke till-1"""
    from storelog import api_keys

    if not _NAME.fullmatch(name):
        raise BadUse(f"there is no key {name}: see `storelog keys list`")
    settings = settings_of(data_dir, "postgres_url").settings
    revoked = _run(settings, lambda connection: api_keys.revoke(connection, name))
    if not revoked:
        print(f"{name} was revoked before")
        return
    print(f"{name} is revoked: both services reject it within 2 s,")
    print("the Query Service only while the relay and the projector run")


def parse_expiry(raw: str, now: datetime) -> datetime:
    """Return the moment that `90d`, `12h`, a day or an RFC 3339 time names. Raises BadUse."""
    span = _SPAN.fullmatch(raw)
    try:
        if span is not None:
            hours = int(span[1]) * (24 if span[2] == "d" else 1)
            at = now + timedelta(hours=hours)
        else:
            at = to_moment(parse_day_or_time(raw))
    except (ValueError, OverflowError):
        raise BadUse(
            f"--expires: {raw!r} is not allowed; allowed: 90d, 12h, a day, a time"
        ) from None
    if at <= now:
        raise BadUse(f"--expires: {raw!r} is in the past")
    return at


async def _now(connection: Any) -> datetime:
    """Return PostgreSQL's time, by which keys expire."""
    return cut_off(await connection.fetchval("SELECT clock_timestamp()"))


def _run(settings: Settings, work: Callable[[Any], Awaitable[T]]) -> T:

    from storelog import postgres

    async def run() -> T:
        connection = await postgres.connect(settings.postgres_url, timeout=5, command_timeout=10)
        try:
            return await work(connection)
        finally:
            await connection.close()

    if settings.postgres_url is None:
        raise CannotRun("STORELOG_POSTGRES_URL names no server, and no `storelog up` runs here")
    try:
        return run_async(run())
    except postgres.FAILURES as error:
        raise CannotRun(f"PostgreSQL: {reason(error)}") from error
