"""Signed heads of the log, kept in a file outside the servers: they reveal even a rewritten chain.

An attacker who can rewrite PostgreSQL can compute all hashes anew; but a head that was signed
before, with a key that is not in PostgreSQL, still shows what the log was. One JSON line for each
signed head, and a signed one for each that `storelog recover` has closed: its event was lost.
Next: verify/log.py
"""

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from storelog.envelope import Envelope, format_time, utc_now
from storelog.errors import BadUse, CannotRun
from storelog.log_history import LogHistory
from storelog.verify.report import Report

KEY_FILE = "anchor.key"
KEY_BYTES = 32
MAX_FILE_BYTES = 16 * 1024 * 1024


class AnchoredHead(msgspec.Struct, omit_defaults=True):
    """A head of the log: HMAC-SHA256 over the other members, in hex.

    `history`: it is closed by this line, since the log has begun that history after `beganAfter`.
    """

    position: int
    hash: str
    signedAt: str
    signature: str
    history: str | None = None
    beganAfter: int = 0

    def sign(self, key: bytes) -> str:
        """Return what the signature must be."""
        text = f"storelog anchor\n{self.position}\n{self.hash}\n{self.signedAt}"
        if self.history is not None:
            text += f"\nclosed\n{self.history}\n{self.beganAfter}"
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    def is_signed(self, key: bytes) -> bool:
        """Tell whether it was signed with this key, and not changed afterwards."""
        # As bytes: of two texts it takes no other than ASCII ones.
        return hmac.compare_digest(self.sign(key).encode(), self.signature.encode())


@dataclass(slots=True)
class Anchor:
    """The signed heads of a file, and the key. `heads` are checked as the log is read.

    `closed`: the lines that closed other heads, which are not checked any more.
    """

    path: Path
    key: bytes
    heads: dict[int, AnchoredHead] = field(default_factory=dict)
    closed: list[AnchoredHead] = field(default_factory=list)

    def take(self, head: AnchoredHead) -> None:
        """Take in one line of the file."""
        if head.history is None:
            self.heads[head.position] = head
            return
        # What closes a head without a good signature closes nothing, and is named itself.
        other = self.heads.get(head.position)
        if not head.is_signed(self.key) or other is None or other.hash != head.hash:
            self.heads[head.position] = head
            return
        del self.heads[head.position]
        self.closed.append(head)

    def check_signatures(self, report: Report) -> None:
        """Report heads that were not signed with this key, or were changed afterwards."""
        for head in self.heads.values():
            report.count("anchors")
            if not head.is_signed(self.key):
                report.differ("log", head.position, "anchor", "a good signature", head.signature)
        for head in self.closed:
            report.closed_anchors.append(
                {
                    "position": head.position,
                    "hash": head.hash,
                    "history": head.history,
                    "beganAfter": head.beganAfter,
                    "closedAt": head.signedAt,
                }
            )

    def check(self, event: Envelope, report: Report) -> None:
        """Compare an event of the log with the head that was signed at its position."""
        head = self.heads.get(event.position)
        if head is not None and head.hash != event.hash.hex():
            report.differ("log", event.position, "anchor", head.hash, event.hash.hex())

    def check_end(self, position: int, report: Report) -> None:
        """Report heads beyond the end of the log."""
        for head in self.heads.values():
            if head.position > position:
                report.differ("log", head.position, "anchor", head.hash, None)

    def add(self, position: int, event_hash: bytes) -> None:
        """Sign a head and add it to the file. Raises CannotRun."""
        self._add(AnchoredHead(position, event_hash.hex(), format_time(utc_now()), ""))

    def close(self, head: AnchoredHead, history: LogHistory) -> None:
        """Close a head whose event was lost when the log began a history. Raises CannotRun."""
        now, at = format_time(utc_now()), history.began_after
        self._add(AnchoredHead(head.position, head.hash, now, "", history.id, at))

    def _add(self, head: AnchoredHead) -> None:
        head.signature = head.sign(self.key)
        self.take(head)
        try:
            with self.path.open("ab") as file:
                file.write(msgspec.json.encode(head) + b"\n")
                file.flush()
                # A head that is lost in a crash would prove nothing.
                os.fsync(file.fileno())
        except OSError as error:
            raise CannotRun(f"{self.path}: {error.strerror}") from error


def open_anchor(path: Path, data_dir: Path) -> Anchor:
    """Return the heads of a file, none for a new one; the key is kept in the data directory.

    Raises BadUse for a file of another kind, CannotRun without the key that signed it.
    """
    try:
        if path.exists() and path.stat().st_size > MAX_FILE_BYTES:
            raise BadUse(f"{path} is no anchor: it is too large")
        lines = path.read_bytes().splitlines() if path.exists() else []
        heads = [msgspec.json.decode(line, type=AnchoredHead) for line in lines]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadUse(f"{path} is no anchor: {error}") from error
    except OSError as error:
        raise CannotRun(f"{path}: {error.strerror}") from error
    anchor = Anchor(path, _key(data_dir / KEY_FILE, must_exist=bool(heads)))
    for head in heads:
        anchor.take(head)
    return anchor


def _key(path: Path, *, must_exist: bool) -> bytes:
    try:
        if path.exists():
            return path.read_bytes()
        if must_exist:
            raise CannotRun(f"{path}, the key that signed the anchor, is missing")
        path.parent.mkdir(parents=True, exist_ok=True)
        key = secrets.token_bytes(KEY_BYTES)
        # Never replaces a key: the heads that it has signed could no longer be checked.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key)
    except OSError as error:
        raise CannotRun(f"{path}: {error.strerror}") from error
    return key
