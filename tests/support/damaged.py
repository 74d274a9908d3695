"""Files of the embedded MongoDB server as kill -9 leaves them in the middle of making a table."""

import struct
from pathlib import Path

_LENGTH = struct.Struct("<I")
_ALIGNED = 128


def half_make_table(folder: Path, name: str) -> None:
    """Cut WiredTiger's log after the record that first names a table: it gets no columns.

    What was logged later is lost with it, as if the machine had stopped there. `name` is the
    beginning of the table's name; the last such table is taken.
    """
    log = max(folder.glob("WiredTigerLog.*"))
    data = log.read_bytes()
    at = cut = 0
    while length := _LENGTH.unpack_from(data, at)[0]:
        is_it = f"table:{name}".encode() in data[at : at + length]
        at += -(-length // _ALIGNED) * _ALIGNED
        cut = at if is_it else cut
    assert cut, f"{log} names no table {name}"
    log.write_bytes(data[:cut] + bytes(len(data) - cut))
