"""The shape with which each read model was filled: a document of the collection `shapes` for each.

A release that stored no shapes filled six collections, all with shape 1, and stored the version of
its word rules. Every database has these six; any other read model without a stored shape is empty.
Next: projector/databases/shapes.py
"""

from collections.abc import Iterable, Mapping
from typing import Any

from storelog.read_models.listed import BY_COLLECTION

SHAPES = "shapes"
COMMAND = "`storelog rebuild --promote`"
# The name under which such a release stored the version of its word rules.
_WORDS = "words"
_ALWAYS = ("customers", "products", "orders", "product_sold")
_NAMES = ("customer_names", "product_names")
Shapes = Mapping[str, int]


def shapes_of(found: Iterable[Mapping[str, Any]]) -> Shapes:
    """Return the shape of each filled read model by its collection: 0 for one of the six whose
    shape is unknown.
    """
    stored = {each["_id"]: each.get("shape", each.get("version")) for each in found}
    known = {name: int(shape) for name, shape in stored.items() if isinstance(shape, int)}
    words = known.pop(_WORDS, None)
    if known:
        return {**dict.fromkeys((*_ALWAYS, *_NAMES), 0), **known}
    return {**dict.fromkeys(_ALWAYS, 1), **dict.fromkeys(_NAMES, words or 1)}


def current_shapes() -> Shapes:
    """Return the shapes of this release."""
    return {name: model.shape for name, model in BY_COLLECTION.items()}


def differing(shapes: Shapes) -> dict[str, int | None]:
    """Return the read models whose shape is not that of this release; None: not filled."""
    wanted = current_shapes().items()
    return {name: shapes.get(name) for name, shape in wanted if shapes.get(name) != shape}


def to_do(shapes: Shapes) -> str | None:
    """Return what differs and the command that fixes it, None where nothing differs."""
    others = differing(shapes)
    if not others:
        return None
    new = [name for name, shape in others.items() if shape is None]
    old = [name for name, shape in others.items() if shape is not None]
    said = []
    if old:
        said.append(f"{', '.join(old)} {_has(old)} the shape of another release")
    if new:
        said.append(f"{', '.join(new)} {_has(new)} no documents yet and {_its(new)} routes are 503")
    return f"{'; '.join(said)}: {COMMAND} fills all anew, while reads go on"


def _has(names: list[str]) -> str:
    return "has" if len(names) == 1 else "have"


def _its(names: list[str]) -> str:
    return "its" if len(names) == 1 else "their"
