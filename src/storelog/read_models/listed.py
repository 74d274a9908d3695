"""The read models of the list, read from their folders.

Guarantees that a collection has one model, and that a folder has what the list promises.
Next: projector/database.py
"""

from collections import Counter
from collections.abc import Mapping
from importlib import import_module

from storelog.read_models import READ_MODELS
from storelog.read_models.read_model import ReadModel


def _models() -> tuple[ReadModel, ...]:
    found: list[ReadModel] = []
    for name in READ_MODELS:
        found += import_module(f"storelog.read_models.{name}.model").MODELS
    counts = Counter(model.collection for model in found)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise TypeError(f"two read models have the collection {', '.join(twice)}")
    return tuple(found)


MODELS = _models()
BY_COLLECTION: Mapping[str, ReadModel] = {model.collection: model for model in MODELS}
