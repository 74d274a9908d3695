"""Verify adds up in its own words: what it shares with the projector is how bytes are read."""

import ast

from support.parsed import SOURCE, nodes

FOLDS = {
    "storelog.documents.ledgers": {
        "add",
        "add_fact",
        "add_packed",
        "is_full",
        "leaf_node",
        "parent_node",
        "roots",
    },
    "storelog.documents.histories": {"apply", "split"},
    "storelog.projector.checkpoints": {"Bounds", "Checkpoint"},
}


def test_verify_imports_nothing_that_folds_or_adds_for_the_projector() -> None:
    shared = []
    for path in (SOURCE / "verify").glob("*.py"):
        for node in nodes(path):
            if isinstance(node, ast.ImportFrom) and node.module in FOLDS:
                names = {alias.name for alias in node.names}
                shared += [(path.name, name) for name in names & FOLDS[node.module]]
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                module = f"storelog.{node.value.id}"
                if node.attr in FOLDS.get(module, set()):
                    shared.append((path.name, node.attr))
    assert shared == []
