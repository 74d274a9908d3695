"""Search over the API: names as people type them, and an index of an earlier release."""

import json
from urllib.parse import quote

import pytest

from support.system import System

NAMES = ["Søren Ørsted", "苹果iPhone手机壳", "Wi-Fi router", "T-shirt", "O\u2019Neill board",
         "C++ Primer", "C# in Depth", "Chair", "Қазақ", "Soft\u00adware"]  # fmt: skip
FOUND = [("soren", 0), ("iphone", 1), ("手机壳", 1), ("wifi", 2), ("wi-fi", 2), ("wi fi rou", 2),
         ("tshirt", 3), ("t shirt", 3), ("oneill", 4), ("o'neill board", 4), ("c++", 5),
         ("c#", 6), ("казак", 8), ("software", 9)]  # fmt: skip


def found(system: System, asked: str) -> list[str]:
    return [item["name"] for item in system.queries.pages(f"/products?q={quote(asked)}")]


@pytest.fixture
def named(system: System) -> System:
    for name in NAMES:
        system.new_product(name=name)
    system.wait_projected()
    return system


def test_names_of_an_earlier_index_are_indexed_again_by_a_rebuild(named: System) -> None:
    for asked, number in FOUND:
        assert found(named, asked) == [NAMES[number]], asked
    assert found(named, "c") == ["C++ Primer", "C# in Depth", "Chair"]
    # As the release before kept them.
    earlier = {1: ["sør", "ørs"], 2: ["苹果i"], 3: ["fi", "rou", "wi"], 4: ["shi", "t"]}
    for number, words in earlier.items():
        named.mongo["product_names"].update_one({"_id": number}, {"$set": {"words": words}})
    named.mongo["shapes"].update_one({"_id": "product_names"}, {"$set": {"shape": 1}})
    assert found(named, "soren") == found(named, "wifi") == []
    # Each command that looks at the read model names the one that indexes it again.
    looks: tuple[tuple[str, ...], ...]
    looks = (("migrate",), ("status",), ("status", "--json"), ("doctor",))
    for command in looks:
        said = named.cli(*command)
        assert "`storelog rebuild --promote`" in said.stdout, (command, said.stdout)
    told = json.loads(named.cli("verify", "--json").stdout.splitlines()[-1])["differences"]
    places = {(each["where"], each["id"]) for each in told}
    places.remove(("mongodb.shapes", "product_names"))
    assert places == {("mongodb.product_names", number) for number in earlier}
    done = named.cli("rebuild", "--promote", "--json")
    assert done.returncode in (0, 1), done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["promoted"]
    for asked, number in FOUND:
        assert found(named, asked) == [NAMES[number]], asked
    assert named.cli("verify").returncode == 0
    for command in looks:
        assert "rebuild --promote" not in named.cli(*command).stdout, command
