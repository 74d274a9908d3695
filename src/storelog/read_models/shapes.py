"""With which shape of each read model a database was filled: a document of `shapes` for each.

A release that stored no shapes filled six collections, all with shape 1, and stored the version of
the word rules. These six are in every read model; any other that is not named is not filled.
Next: projector/databases/shapes.py
"""

from collections.abc import Iterable, Mapping
from typing import Any

from storelog.read_models.listed import BY_COLLECTION

SHAPES = "shapes"
COMMAND = "`storelog rebuild --promote`"
# What a release that stored the version of its word rules alone named it.
_WORDS = "words"
_ALWAYS = ("customers", "products", "orders", "product_sold")
_NAMES = ("customer_names", "product_names")
Shapes = Mapping[str, int]


def shapes_of(found: Iterable[Mapping[str, Any]]) -> Shapes:
    """Return the shape of each read model that is filled, by its collection.

    One that is always filled, and of which nothing is known, has shape 0.
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
    """Return what is to be done about shapes, and the command that does it; None: nothing."""
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
