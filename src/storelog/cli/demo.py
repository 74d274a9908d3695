"""`storelog demo`: a made-up shop with live traffic."""

from typing import Annotated

import typer

from storelog.cli.options import AsJson, DataDir, print_json, run_async, settings_of


def demo(
    data_dir: DataDir = None,
    orders_per_second: Annotated[
        float, typer.Option(min=0.1, max=5_000, help="Orders a second.")
    ] = 20,
    duration: Annotated[float, typer.Option(min=0.1, max=86_400, help="Seconds.")] = 30,
    seed: Annotated[int, typer.Option(help="The same seed makes the same shop.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Open a made-up shop and trade. Example: storelog demo --orders-per-second 50 --duration 60"""
    settings = settings_of(data_dir, "command_url").settings
    from storelog.cli.progress import Shown
    from storelog.traffic.demo_shop import DemoShop

    with Shown() as progress:
        shop = DemoShop(seed, progress.show)
        position = run_async(shop.run(settings, orders_per_second, duration))
    if as_json:
        print_json({"position": position, "answers": dict(shop.answers)})
        return
    print(f"the log is at position {position}")
    for what, number in sorted(shop.answers.items()):
        print(f"  {what:<44} {number:>8,}")
