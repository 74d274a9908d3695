"""Guesses the encoding of a file that is not UTF-8, for the error message about it.

Next: traffic/retail_file.py
"""

from typing import IO

from charset_normalizer import from_bytes

from storelog.errors import BadUse

# The encodings that spreadsheets write, most common first.
LIKELY = ["cp1252", "utf_16", "gb18030", "shift_jis", "big5", "cp949", "cp1251", "cp1250"]
MAX_SAMPLE = 65_536
MAX_LINES_READ = 1_000_000


def seems_to_be(text: IO[str]) -> str | None:
    """Return the likeliest encoding of a text that was opened as Latin-1, or None."""
    # Latin-1 maps each byte to one character, so the bytes can be recovered from the text.
    first = text.readline(MAX_SAMPLE)
    if first.startswith(("\xff\xfe", "\xfe\xff")):
        return "utf-16"
    sample = bytearray()
    for _ in range(MAX_LINES_READ):
        line = text.readline(MAX_SAMPLE)
        if not line or len(sample) > MAX_SAMPLE:
            break
        # ASCII lines look the same in most encodings and would only fill the sample.
        if not line.isascii():
            sample += line.encode("latin-1")
    best = from_bytes(bytes(sample), cp_isolation=LIKELY).best()
    if best is None:
        return None
    # Of encodings that give the same text, the most common one is the likeliest.
    fitting = {best.encoding, *best.could_be_from_charset} & set(LIKELY)
    return min(fitting, key=LIKELY.index, default=None)


def check_encoding(name: str) -> None:
    """Raise BadUse where Python knows no such text encoding."""
    try:
        "".encode(name)
    except (LookupError, UnicodeError) as error:
        raise BadUse(f"--encoding {name}: no such encoding; utf-8, cp1252, gb18030...") from error
