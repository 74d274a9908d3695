"""The Postman collection runs green against a running system; `make postman` is this test."""

from pathlib import Path

from support.system import System
from support.tools import run_collection


def test_the_collection_runs_from_top_to_bottom(shop: System, tmp_path: Path) -> None:
    urls = {"commandUrl": shop.commands.url, "queryUrl": shop.queries.url}
    report = run_collection(urls, tmp_path / "report.json")["run"]
    assert [failure["error"]["message"] for failure in report["failures"]] == []
    assert report["stats"]["assertions"]["total"] > 100
