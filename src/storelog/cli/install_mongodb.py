"""`storelog install-mongodb`: the official MongoDB Community server, for `storelog up`."""

import sys
from typing import Annotated

import typer

from storelog.cli.options import AsJson, print_json
from storelog.errors import BadUse


def install_mongodb(
    yes: Annotated[
        bool, typer.Option("--yes", help="Accept the licence without a question.")
    ] = False,
    version: Annotated[
        str | None, typer.Option(help="Another version than the tested one.", show_default=False)
    ] = None,
    mirror: Annotated[
        str | None, typer.Option(help="Another server with the same files.", show_default=False)
    ] = None,
    sha256: Annotated[
        str | None,
        typer.Option(help="The archive's SHA-256; else the published one.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch MongoDB's own server; `up` uses it from then on. Example: storelog install-mongodb"""
    from storelog.cli.progress import Shown
    from storelog.local import mongodb_download as download

    wanted = version or download.VERSION
    path = download.this_platform(wanted)
    url = f"{(mirror or download.OFFICIAL).rstrip('/')}/{path}"
    print(
        # On stderr, so that stdout has only the result.
        f"MongoDB Community Server {wanted}, a program of MongoDB, Inc.\n"
        f"  licence  {download.LICENCE}\n           {download.LICENCE_URL}\n"
        f"  from     {url}\n  into     {download.home() / wanted}\n"
        "Storelog is not derived from it and only starts it.",
        file=sys.stderr,
    )
    if not yes:
        _ask()
    with Shown() as progress:
        mongod = download.install(url, wanted, sha256, progress.show)
    if as_json:
        print_json({"version": wanted, "mongod": str(mongod)})
    else:
        print(f"{mongod} is what `storelog up` starts from now on.")


def _ask() -> None:
    if not sys.stdin.isatty():
        raise BadUse("there is no terminal to ask on: accept the licence with --yes")
    if not typer.confirm("Do you accept this licence and want to download it?", err=True):
        raise typer.Exit(1)
