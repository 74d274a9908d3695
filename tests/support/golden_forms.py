"""The forms of values in tests/golden: short lines that can be read and compared."""

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import bson
from bson.json_util import CANONICAL_JSON_OPTIONS, dumps

from storelog.documents import histories
from storelog.documents.ledgers import Fact, pack_facts
from storelog.projector.fold import live_changes, order_facts
from storelog.read_models.change import Change
from storelog.read_models.listed import DOCUMENT_MODELS
from storelog.read_models.read_model import Write

Json = dict[str, Any]
# What is longer is kept by its length and hash; of more events of one request, the first and last.
MAX_LENGTH, MAX_EVENTS = 1_000, 6
NAMED = "words.jsonl"


def plain(value: Any) -> Any:
    """Return a value of a row or header as JSON has it: bytes that are no text in hex."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value if value is None or isinstance(value, int | str) else str(value)


def line_of(forms: Json) -> str:
    """Return a line of the corpus: what is long is shortened to its length and SHA-256."""
    kept = {
        name: form if _size(form) <= MAX_LENGTH else digest_of(form) for name, form in forms.items()
    }
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def digest_of(form: Any) -> str:
    """Return the length and the SHA-256 of a form."""
    raw = _text(form).encode()
    return f"{len(raw)} bytes, SHA-256 {hashlib.sha256(raw).hexdigest()}"


def _size(form: Any) -> int:
    return len(_text(form).encode())


def _text(form: Any) -> str:
    return form if isinstance(form, str) else json.dumps(form, ensure_ascii=False)


def bson_forms(documents: list[Json]) -> tuple[list[Any], str]:
    """Return documents as extended JSON, whose order is BSON's, and the SHA-256 of their bytes."""
    raw = b"".join(bson.encode(document) for document in documents)
    shown = [json.loads(dumps(d, json_options=CANONICAL_JSON_OPTIONS)) for d in documents]
    return shown, hashlib.sha256(raw).hexdigest()


def kept(write: Write, change: Change) -> Json:
    """Return what a write sets; words of a name stand in a file of their own, by the name."""
    has_words = "words" in write.fields and not change.kind.ends
    words = {"words": [NAMED]} if has_words else {}
    return {"_id": write.document_id, **write.fields, **words}


def fold(change: Change) -> tuple[Json, list[Write], Fact | None]:
    """Return what the projector makes of a change: its forms, the writes, and the ledger's fact."""
    writes = [write for model in DOCUMENT_MODELS for write in model.fold(change)]
    fact = order_facts.fact_of(change)
    shown, digest = bson_forms([kept(w, change) for w in writes])
    flags = ("is_new", "is_whole", "is_mark")
    forms: Json = {
        "bson": digest,
        "writes": [
            [w.collection, [flag for flag in flags if getattr(w, flag)], document]
            for w, document in zip(writes, shown, strict=True)
        ],
        "history": [histories.encode_entry(e).decode() for w in writes for e in w.entries],
        "change": live_changes._encode(live_changes.live_change_of(change)).decode(),
    }
    if fact is not None:
        forms["fact"] = pack_facts([fact]).hex()
    return forms, writes, fact


def abridged(lines: list[str], most: int = MAX_EVENTS) -> Iterator[str]:
    """Yield lines; where there are more than `most`, those in the middle as one hash."""
    if len(lines) <= most:
        yield from lines
        return
    yield from lines[: most - 2]
    middle = "\n".join(lines[most - 2 : -1])
    yield line_of({"lines": len(lines) - most + 1, "are": digest_of(middle)})
    yield lines[-1]
