"""A set of keys counts where this shop's signature proves it, and nowhere else."""

from typing import Any

import pytest

from storelog.api_keys import KeySet
from storelog.key_sets import of_documents, sign_set, to_document
from storelog.origin import public_key
from storelog.setting_types import ApiKey

SECRET, STRANGER = bytes(31) + b"s", bytes(31) + b"t"
TILL = KeySet((ApiKey("till", "read", "a" * 64, 1.5),), is_used=True, version=7)
ORIGIN = {"_id": "origin", "signer": public_key(SECRET), "provenFrom": None}


def kept(known: KeySet = TILL, secret: bytes = SECRET, **changes: Any) -> dict[str, Any]:
    return {"_id": "keys", **to_document(sign_set(known, secret)), **changes}


@pytest.mark.parametrize("known", [TILL, KeySet(version=3)])
def test_a_set_that_the_shop_has_signed_is_what_its_bytes_say(known: KeySet) -> None:
    proven = of_documents([kept(known, isUsed=False, keys=[], version=2**60), ORIGIN])
    assert proven is not None
    assert proven.known.keys == known.keys
    assert (proven.known.is_used, proven.known.version) == (known.is_used, known.version)


@pytest.mark.parametrize(
    "documents",
    [
        [],
        [ORIGIN],
        [kept()],
        [{"_id": "keys", "isUsed": False, "keys": []}, ORIGIN],
        [{"_id": "keys", "isUsed": False, "keys": [], "version": 2**60}, ORIGIN],
        [kept(secret=STRANGER), ORIGIN],
        [kept(signature=bytes(64)), ORIGIN],
        [kept(signature=b""), ORIGIN],
        [kept(signature="text"), ORIGIN],
        [kept(content=b'{"version":8,"isUsed":false,"keys":[]}'), ORIGIN],
        [kept(), {**ORIGIN, "signer": "00"}],
        [kept(), {**ORIGIN, "signer": None}],
        [kept(), {**ORIGIN, "signer": public_key(STRANGER)}],
    ],
)
def test_a_set_that_does_not_prove_whose_it_is_counts_as_none(
    documents: list[dict[str, Any]],
) -> None:
    assert of_documents(documents) is None
