"""How names are searched: by the beginnings of their words, as people type them, in any script.

A text is decomposed (NFKD), invisible characters and marks that readers leave out (accents, Arabic
and Hebrew points) are dropped, case is folded, Latin, Greek and Cyrillic letters lose their strokes
and tails, and it is composed again. Letters, marks and digits make words, and signs after them
(c++); emoji are words, and so are numbers with their dots. Hyphens and apostrophes join words into
a compound, which is found joined and split; so are words of different scripts that touch. Scripts
without spaces have a word begin at every character. What changes here changes RULES.
Next: read_models/names.py
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress

from anyascii import anyascii

from storelog.typed_cache import cached

# Stored with a read model, whose names are indexed by these rules. Raise it with each change.
RULES = 2
# A search looks up this many first characters in the index, then compares whole words.
HEAD_LENGTH = 3
MAX_WORDS = 200
# The words of one searched compound: together they begin one word, or each begins its own.
AskedWord = tuple[str, ...]
_EMOJI = "\u2600-\u27bf\u2b05-\u2b55\U0001f000-\U0001faff"
_IS_EMOJI = re.compile(f"[{_EMOJI}]")
# Han, kana, Thai, Lao, Tibetan, Myanmar and Khmer are written without spaces between words.
_RUNS = re.compile(
    f"[{_EMOJI}"
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
# Unicode's Default_Ignorable_Code_Point: the soft hyphen, zero widths, marks of direction,
# variation selectors and the like.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# One hyphen and one apostrophe for all that people and programs write in their places.
_HYPHENS = "\u2010\u2011\u2012\u2013\u2043\u2212\u00b7\u0387\u2027\u30fb\uff65\u30a0\u05be\u1806"
_APOSTROPHES = (
    "\u2019\u2018\u201b\u02b9\u02bb\u02bc\u02bd\u02be\u02bf\u02c0\u02c1\u02c8\u2032\u2035\u00b4`"
    "\u055a\u05f3\ua78b\ua78c"
)
_JOINERS = str.maketrans(
    dict.fromkeys(_HYPHENS, "-")
    | dict.fromkeys(_APOSTROPHES, "'")
    # Signs that NFKD would turn into letters of the word beside them.
    | {"\u2116": "No ", "\u2122": " ", "\u2120": " "}
)
_THOUSANDS = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:[.,]\d{3})+(?!\d)")
_DECIMAL = re.compile(r"(?<=\d),(?=\d)")
_SCRIPTS = ("LATIN", "GREEK", "CYRILLIC")


def normal(text: str) -> str:
    """Return a text as it is compared."""
    if text.isascii():
        return _with_numbers(text.lower().translate(_JOINERS))
    # An accent that stands alone would be decomposed into a space.
    folded = unicodedata.normalize("NFKD", text.translate(_JOINERS)).casefold()
    decomposed = _INVISIBLE.sub("", unicodedata.normalize("NFKD", folded))
    kept = "".join(_typed(c) for c in decomposed if not _is_left_out(c))
    return _with_numbers(unicodedata.normalize("NFC", kept).translate(_JOINERS))


def _with_numbers(text: str) -> str:
    """Return a text with each number in one form: 1,000 as 1000, and 2,5 as 2.5."""
    whole = _THOUSANDS.sub(lambda found: re.sub("[.,]", "", found[0]), text)
    return _DECIMAL.sub(".", whole)


def _is_left_out(character: str) -> bool:
    """Tell whether people leave out this mark when they type, by its combining class.

    10 to 36 are the points of Hebrew, Arabic and Syriac; from 200 the accents. Vowel signs, viramas
    and tone marks have others, and make another word.
    """
    mark = unicodedata.combining(character)
    return 10 <= mark <= 36 or mark >= 200


@cached(4_096)
def _typed(character: str) -> str:
    """Return a letter as people type it whose keyboard lacks it."""
    if character.isascii():
        return character
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    name = unicodedata.name(character, "")
    if not name.startswith(_SCRIPTS):
        return character
    with suppress(KeyError):
        # Unicode's name tells the base letter: o with stroke, ka with descender.
        character = unicodedata.lookup(name.partition(" WITH ")[0]).casefold()
    return anyascii(character).lower() if name.startswith("LATIN") else character


@cached(8_192)
def words_of(text: str) -> tuple[str, ...]:
    """Return the texts that a searched word may begin: each word with all that is joined to it,
    and in scripts without spaces the rest after each character."""
    words: list[str] = []
    for parts in _groups(text):
        joined = "".join(parts)
        starts = {
            i for i in range(1, len(joined)) if _RUNS.match(joined[i]) or joined[i - 1] == "."
        }
        at = 0
        for part in parts:
            starts.add(at)
            at += len(part)
        words += [joined[start:] for start in sorted(starts)]
    return tuple(words[:MAX_WORDS])


def asked_words(text: str) -> list[AskedWord]:
    """Return the searched compounds, each once, those with the fewest heads first."""
    asked = {tuple(parts) for parts in _groups(text)}
    return sorted(asked, key=lambda parts: (len(_heads(parts)), -len("".join(parts)), parts))


def heads_of(text: str) -> list[str]:
    """Return the heads by which a name is found: its words' first one, two and three characters."""
    words = words_of(text)
    return sorted({word[:end] for word in words for end in range(1, HEAD_LENGTH + 1)})


def searched_text(values: Iterable[str | None]) -> str:
    """Return the text of all values whose words find an entity."""
    return " ".join(value for value in values if value is not None)


def exactly(name: str, value: str) -> str:
    """Return the term that finds an entity by an exact value; no word begins like it."""
    return f"={name}:{value}"


def heads_asked(asked: list[AskedWord]) -> list[AskedWord]:
    """Return, for each searched compound, the heads of which a name must have one."""
    return [tuple(sorted(_heads(parts))) for parts in asked]


def _heads(parts: AskedWord) -> set[str]:
    """Return heads of which every name that matches the parts has at least one."""
    heads: set[str] = set()
    for end in range(1, len(parts)):
        begun = "".join(parts[:end])
        if len(begun) >= HEAD_LENGTH:
            return heads | {begun[:HEAD_LENGTH]}
        # A short word alone would find too many names, so the words after it count as well.
        heads |= _heads(parts[end:])
    return heads | {"".join(parts)[:HEAD_LENGTH]}


def is_match(name: str, asked: list[AskedWord]) -> bool:
    """Tell whether every searched compound begins words of the name."""
    words = words_of(name)
    return all(_has(words, parts) for parts in asked)


def _has(words: tuple[str, ...], parts: AskedWord) -> bool:
    """Tell whether the parts begin words, each its own or several together one."""
    reached = {0}
    for start in range(len(parts)):
        if start not in reached:
            continue
        for end in range(start + 1, len(parts) + 1):
            wanted = "".join(parts[start:end])
            if any(word.startswith(wanted) for word in words):
                reached.add(end)
    return len(parts) in reached


def _groups(text: str) -> Iterator[list[str]]:
    """Yield the compounds of a text; one goes on after a short word or a number: `100 cm`."""
    group: list[str] = []
    for parts in _compounds(normal(text)):
        group += parts
        if len(parts[-1]) >= HEAD_LENGTH and not parts[-1].replace(".", "").isdigit():
            yield group
            group = []
    if group:
        yield group


def _compounds(text: str) -> Iterator[list[str]]:
    """Yield the words of a normal text, those together that nothing but a joiner separates."""
    parts: list[str] = []
    part, kind = "", ""
    for at, character in enumerate(f"{text} "):
        is_point = character == "." and part[-1:].isdigit() and text[at + 1 : at + 2].isdigit()
        if part and (character in "+#" or is_point):
            part += character
            continue
        if part and character in "-'":
            parts.append(part)
            part = ""
            continue
        if unicodedata.category(character)[0] not in "LMN" and not _IS_EMOJI.match(character):
            if parts or part:
                yield [*parts, part] if part else parts
            parts, part = [], ""
            continue
        before, kind = kind, _kind(character) or kind
        if part and (part[-1] in "+#" or (part[-1] != "." and _is_border(before, kind))):
            parts.append(part)
            part = ""
        part += character


@cached(8_192)
def _kind(character: str) -> str:
    """Return the script of a letter, `0` for a digit, nothing for a mark, which takes any."""
    if _RUNS.match(character):
        return "RUNS"
    kind = unicodedata.category(character)[0]
    if kind == "L":
        return unicodedata.name(character, "?").partition(" ")[0]
    return "0" if kind == "N" else ""


def _is_border(before: str, after: str) -> bool:
    """Tell whether a word ends between two kinds: digits go with letters, but of no RUNS."""
    if "0" in (before, after):
        return before != after and "RUNS" in (before, after)
    return before != after
