"""`storelog import retail`: a real shop's sales through the HTTP API."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from storelog.cli.options import AsJson, DataDir, print_json, run_async, settings_of

if TYPE_CHECKING:
    from storelog.cli.progress import Shown
    from storelog.config import Settings
    from storelog.traffic.retail_import import RetailImport

# The wait for the read model ends when it has not moved for so long.
STALL_SECONDS = 120.0
app = typer.Typer(help="Import sales from elsewhere.", no_args_is_help=True)


# Without a callback Typer would turn the only command into the group itself.
@app.callback()
def _import() -> None:
    return None


@app.command("retail")
def retail(
    file: Annotated[Path, typer.Argument(help="A .csv, .csv.xz, .csv.gz or .xlsx file.")],
    data_dir: DataDir = None,
    limit_invoices: Annotated[
        int | None,
        typer.Option(min=1, help="The most invoices to import.", show_default=False),
    ] = None,
    spare_stock: Annotated[
        int, typer.Option(min=0, max=1_000_000_000, help="Units each product has left over.")
    ] = 100,
    encoding: Annotated[
        str | None,
        typer.Option(help="The file's encoding, such as cp1252; else UTF-8.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Import a file with the UCI Online Retail columns; run it again to continue.

    Example: storelog import retail online-retail.csv.xz --limit-invoices 1000
    """
    settings = settings_of(data_dir, "command_url", "query_url").settings
    from storelog.cli.progress import Shown
    from storelog.traffic.encodings import check_encoding
    from storelog.traffic.retail_file import read_retail_file
    from storelog.traffic.retail_import import Options, Refused, RetailImport

    if encoding is not None:
        # Before the file is read, which can take a while.
        check_encoding(encoding)
    read = read_retail_file(file, limit_invoices, spare_stock=spare_stock, encoding=encoding)
    with Shown() as progress:
        options = Options(limit_invoices, spare_stock, encoding)
        work = RetailImport(read, options, progress.show)
        try:
            run_async(_run(work, settings, progress))
        except Refused as error:
            print(f"storelog: {error}", file=sys.stderr)
            raise typer.Exit(1) from error
    if as_json:
        print_json(work.summary())
    else:
        _show(work.summary())


async def _run(work: "RetailImport", settings: "Settings", progress: "Shown") -> None:
    from storelog.traffic.retail_import import wait_until_projected

    position = await work.run(settings)
    now = 0
    async for now in wait_until_projected(settings, position, STALL_SECONDS):
        progress.show("projected", min(now, position), position)
    if now < position:
        print(f"the read model is at {now} of {position}: see `storelog lag`", file=sys.stderr)


def _show(summary: dict[str, Any]) -> None:
    for name in ("rows", "orders", "lines", "units"):
        print(f"{name:<10} {summary[name]:>15,}")
    print(f"{'revenue':<10} {summary['revenue']:>15}")
    for name in ("customers", "products"):
        print(f"{name:<10} {summary[name]:>15,}")
    for reason, rows in summary["skipped"].items():
        print(f"skipped    {rows:>15,}  {reason}")
