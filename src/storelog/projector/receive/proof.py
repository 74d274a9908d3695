"""Checks that a record or watermark belongs to this log: hashes must prove its place.

Each names the hash of the event before its place, and a proof made from it (`envelope.proof_of`). A
record that was made up, or put together from others, is foreign: it moves no lane and parks no
aggregate. Records of earlier relays have no proof. They are accepted below the position from which
this shop's records have one, which `storelog migrate` has written to MongoDB.
Next: projector/receive/merge.py
"""

from storelog.envelope import BEHIND, HISTORY, LANES, MARK, RECORD, proof_of
from storelog.errors import PoisonRecord
from storelog.origin import Origin
from storelog.projector.receive.record import Behind, Record, header_of
from storelog.watermark import Watermark


def check_record(record: Record, origin: Origin | None) -> None:
    """Raise PoisonRecord for a record whose place in the log does not prove itself."""
    proof, before = header_of(record, "proof"), header_of(record, "previous_hash")
    if proof is None or before is None:
        proven_from = None if origin is None else origin.proven_from
        if proven_from is not None and record.position >= proven_from:
            raise PoisonRecord("not a record of the relay: it does not prove its position")
        return
    if proof != proof_of(RECORD, before, record.hash, record.position, record.lane_previous):
        raise PoisonRecord(
            "not a record of the relay: its proof does not match its position and hash"
        )
    history = header_of(record, "history")
    if history is not None and header_of(record, "history_proof") != proof_of(
        HISTORY, before, record.hash, record.position, history
    ):
        raise PoisonRecord("not a record of the relay: it does not prove its history")


def check_behind(said: Behind) -> None:
    """Raise PoisonRecord for a message that does not prove that a relay sent it."""
    facts = (said.position, said.ahead, said.history)
    if said.proof != proof_of(BEHIND, said.previousHash, said.hash, *facts):
        raise PoisonRecord("not a watermark of the relay: it does not prove where the log ends")


def check_mark(mark: Watermark, origin: Origin | None) -> None:
    """Raise PoisonRecord for a watermark that does not prove itself."""
    if mark.proof is None or mark.previousHash is None:
        if origin is not None and origin.proven_from is not None:
            raise PoisonRecord("not a watermark of the relay: it does not prove its position")
        return
    facts = (mark.position, *mark.lanes, mark.recordedAt, mark.readAt)
    if mark.proof != proof_of(MARK, mark.previousHash, mark.hash, *facts):
        raise PoisonRecord(
            "not a watermark of the relay: its proof does not match its position and hash"
        )
    since = mark.lanesSince
    if since is not None and mark.lanesProof != proof_of(
        LANES, mark.previousHash, mark.hash, mark.position, since
    ):
        raise PoisonRecord(
            "not a watermark of the relay: it does not prove from where its lanes apply"
        )
    if mark.history is not None and mark.historyProof != proof_of(
        HISTORY, mark.previousHash, mark.hash, mark.position, mark.history, mark.beganAfter
    ):
        raise PoisonRecord("not a watermark of the relay: it does not prove its history")
