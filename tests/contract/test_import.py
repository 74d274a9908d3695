"""`storelog import retail` from outside: what cannot be imported whole is not begun."""

import json
from pathlib import Path

import pytest

from support.retail import HEADER
from support.system import System


@pytest.mark.parametrize(
    "row",
    ["1,A,x,6,2010-12-01 08:26:00,1,x@y,UK", f"1,A,x,6,2010-12-01 08:26:00,1,{'9' * 400},UK"],
)
def test_an_import_that_the_api_would_reject_sends_nothing(
    shop: System, tmp_path: Path, row: str
) -> None:
    written = shop.written()
    path = tmp_path / "bad.csv"
    good = "2,B,y,1,2010-12-01 08:26:00,1,2,UK\n"
    path.write_text(f"{HEADER}\n{good * 50}{row}\n", "utf-8")
    done = shop.cli("import", "retail", str(path))
    assert (done.returncode, shop.written()) == (2, written)
    assert "line 52" in done.stderr


def test_an_import_takes_names_of_any_script(shop: System, tmp_path: Path) -> None:
    path = tmp_path / "any.csv"
    rows = [
        f"1,{'手' * length},,1,2010-12-01 08:26:00,1,{who},UK"
        for length, who in ((20, "guest"), (21, "guest"), (60, "guest"))
    ] + ["3,B,y,1,2010-12-01 08:26:00,1,,UK"]
    path.write_text("\n".join([HEADER, *rows, "", ",,,,,,,"]), "utf-8")
    done = shop.cli("import", "retail", str(path), "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["products"], summary["orders"], summary["skipped"]["blank"]) == (4, 2, 2)
    made = shop.sql("SELECT name FROM customers ORDER BY customer_id DESC LIMIT 2")
    assert {row["name"] for row in made} == {"Guest", "Customer guest"}
