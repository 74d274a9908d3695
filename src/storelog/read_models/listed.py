"""The read models of the list, imported from their folders.

Guarantees that a collection has one model, and that each folder of the list has what it must.
Next: projector/databases/connection.py
"""

from collections import Counter
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Protocol

from storelog.read_models import READ_MODELS
from storelog.read_models.read_model import DocumentModel
from storelog.read_models.totals import TotalsModel

ReadModel = DocumentModel | TotalsModel


class Query(Protocol):
    """The members of a folder's `query.py`."""

    SCHEMAS: Mapping[str, Any]

    @property
    def routes(self) -> Callable[[Any], list[Any]]:
        """Return the function that makes the routes around a reader of MongoDB."""


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
DOCUMENT_MODELS = tuple(model for model in MODELS if isinstance(model, DocumentModel))
TOTALS_MODELS = tuple(model for model in MODELS if isinstance(model, TotalsModel))
BY_COLLECTION: Mapping[str, ReadModel] = {model.collection: model for model in MODELS}


def queries() -> list[Query]:
    """Return the queries of the read models."""
    # Imported here only: the projector needs the models without the Query Service's modules.
    return [import_module(f"storelog.read_models.{name}.query") for name in READ_MODELS]
