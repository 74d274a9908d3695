"""`storelog status`: addresses, processes, servers, health and lag."""

from dataclasses import replace
from typing import Any

import typer

from storelog.cli.options import AsJson, DataDir, print_json, run_async, settings_of
from storelog.config import Loaded, Settings
from storelog.setting_types import mask_url

_STOPPED = {"pid": None, "state": "stopped", "restarts": 0}


def status(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Print what runs and its state; exit 1 unless all is ready. Example: storelog status --json"""
    loaded = settings_of(data_dir)
    facts = _facts(loaded)
    if as_json:
        print_json(facts)
    else:
        _show(facts)
    states = [entry["state"] for entry in (*facts["processes"], *facts["servers"])]
    is_behind = facts["lag"] is not None and "is_log_behind" in facts["lag"]
    if is_behind or not all(state in ("ready", "external") for state in states):
        raise typer.Exit(1)


def _facts(loaded: Loaded) -> dict[str, Any]:
    from storelog.errors import StorelogError
    from storelog.lag import active_database, read_lag
    from storelog.local import run_file
    from storelog.local.servers import PROCESSES
    from storelog.read_side import database_name
    from storelog.upkeep.read_models import sizes

    settings = loaded.settings
    running = run_file.read(loaded.data_dir) or {}
    known = {entry["name"]: entry for entry in running.get("processes", [])}
    processes = [known.get(name, {"name": name, **_STOPPED}) for name in PROCESSES]
    servers = running.get("servers") or [
        {"name": name, "version": "", **_STOPPED} for name in ("postgresql", "kafka", "mongodb")
    ]
    _look_at_processes(processes, settings)
    _look_at_servers(servers, settings)
    # The URI or the default gives the name, so any address will do where no URI is set.
    database = database_name(
        replace(settings, mongodb_uri=settings.mongodb_uri or "mongodb://127.0.0.1")
    )
    lag = None
    try:
        # Without a running `up` this would only wait for servers that are not there.
        lag = run_async(read_lag(settings)).facts() if running else None
        database = run_async(active_database(settings)) if running else database
    except StorelogError:
        lag = None
    try:
        read_models = sizes(settings) if settings.mongodb_uri else []
    except StorelogError:
        read_models = []
    return {
        "data_dir": str(loaded.data_dir),
        "command_url": settings.command_url,
        "query_url": settings.query_url,
        "postgres_url": mask_url(settings.postgres_url) if settings.postgres_url else None,
        "kafka_bootstrap_servers": settings.kafka_bootstrap_servers,
        "mongodb_uri": mask_url(settings.mongodb_uri) if settings.mongodb_uri else None,
        "mongodb_database": database,
        "read_models": read_models,
        "processes": processes,
        "servers": servers,
        "lag": lag,
    }


def _look_at_processes(processes: list[dict[str, Any]], settings: Settings) -> None:
    """Set the state of each process that should be ready, with the reason if it is not."""
    from storelog.local.servers import PROCESSES, why_not_ready

    addresses = (
        settings.command_url,
        settings.relay_url,
        settings.projector_url,
        settings.query_url,
    )
    urls = dict(zip(PROCESSES, addresses, strict=True))
    for process in processes:
        process.pop("version", None)
        if process["state"] == "ready":
            reason = why_not_ready(urls[process["name"]] or "")
            if reason is not None:
                process["state"], process["reason"] = "failed", reason


def _look_at_servers(servers: list[dict[str, Any]], settings: Settings) -> None:
    """Set the state of each server, as `storelog doctor` finds it, with the reason if it failed."""
    from storelog.doctor.check import PROBLEM
    from storelog.doctor.servers import look_at

    to_look_at = [server for server in servers if server["state"] in ("ready", "external")]
    versions = {server["name"]: server["version"] for server in servers}
    found = look_at(settings, versions) if to_look_at else {}
    for server in servers:
        server.pop("restarts", None)
        finding = found.get(server["name"])
        # A server that starts or is stopped has its state already.
        if finding is None or server not in to_look_at:
            continue
        server["version"] = server["version"] or finding.version
        if finding.state == PROBLEM:
            server["state"], server["reason"] = "failed", f"{finding.found}: {finding.advice}"


def _show(facts: dict[str, Any]) -> None:
    for name in ("data_dir", "command_url", "query_url", "postgres_url"):
        print(f"{name:<24} {facts[name] or '-'}")
    for name in ("kafka_bootstrap_servers", "mongodb_uri", "mongodb_database"):
        print(f"{name:<24} {facts[name] or '-'}")
    for model in facts["read_models"]:
        size = "-" if model["bytes"] is None else f"{model['bytes'] / 2**20:,.1f} MiB"
        print(f"{'read model':<24} {model['database']} {model['role']} {size}")
        if "advice" in model:
            print(f"{'':<24} -> {model['advice']}")
    print()
    for entry in facts["servers"]:
        print(
            f"{entry['name']:<24} {entry['state']:<9} {entry['pid'] or '-':<8} {entry['version']}"
        )
        _show_reason(entry)
    for entry in facts["processes"]:
        again = f"restarted {entry['restarts']} times" if entry["restarts"] else ""
        print(f"{entry['name']:<24} {entry['state']:<9} {entry['pid'] or '-':<8} {again}".rstrip())
        _show_reason(entry)
    lag = facts["lag"]
    if lag is not None:
        print(f"\nlag: {lag['events_behind']} events, {lag['seconds_behind']} s", end="")
        print(f"; {lag['dead_letters']} dead letters" if lag["dead_letters"] else "", end="")
        print(f"; {lag['foreign']:,} foreign records" if lag["foreign"] else "")
        if "is_log_behind" in lag:
            print("THE LOG IS BEHIND: run `storelog lag` to learn what to do")
    elif any(entry["pid"] for entry in facts["servers"]):
        print("\nlag: not known while a server is away")


def _show_reason(entry: dict[str, Any]) -> None:
    if "reason" in entry:
        print(f"{'':<24} -> {entry['reason']}")
