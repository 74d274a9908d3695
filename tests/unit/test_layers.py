"""The contract of the pure rules can fail: it notices an import of what is not pure."""

import copy
from functools import cache
from pathlib import Path

import grimp
import pytest
from importlinter import api
from importlinter.contracts.forbidden import ForbiddenContract

ROOT = Path(__file__).parents[2]


@cache
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("storelog", include_external_packages=True, cache_dir=None)


def is_kept(*more: tuple[str, str]) -> bool:
    """Check the contract with imports of modules that the code does not have."""
    read = api.read_configuration(str(ROOT / "pyproject.toml"))
    (options,) = (o for o in read["contracts_options"] if o["name"].startswith("the pure rules"))
    graph = copy.deepcopy(imports())
    for importer, imported in more:
        if imported not in graph.modules:
            graph.add_module(imported, is_squashed=True)
        graph.add_import(importer=importer, imported=imported)
    contract = ForbiddenContract(options["name"], read["session_options"], options)
    return contract.check(graph, verbose=False).kept


def test_the_pure_rules_are_pure() -> None:
    assert is_kept()


@pytest.mark.parametrize("imported", ["asyncpg", "pymongo", "not_known_yet", "asyncio", "socket"])
@pytest.mark.parametrize("rule", ["storelog.shop.order", "storelog.envelope", "storelog.words"])
def test_an_import_of_anything_else_breaks_the_contract(rule: str, imported: str) -> None:
    assert not is_kept((rule, imported))


def test_an_import_by_way_of_another_module_breaks_it_too() -> None:
    assert not is_kept(("storelog.shop.order", "storelog.kafka"))
