"""How names are searched: by the beginnings of their words, as people type them, in any script.

A text is decomposed (NFKD), invisible characters and marks that readers leave out (accents, Arabic
and Hebrew points) are dropped, case is folded, Latin, Greek and Cyrillic letters lose their strokes
and tails, and it is composed again. Letters, marks and digits make words, and signs after them
(c++). Hyphens and apostrophes join words into a compound, which is found joined and split; so are
words of different scripts that touch. Scripts without spaces have a word begin at every character.
Next: projector/read_models/names.py
"""

import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache

from anyascii import anyascii

# What is looked for is found by its first so many characters, and then compared whole.
HEAD_LENGTH = 3
MAX_WORDS = 200
# The words of one compound that is looked for: together they begin one word, or each its own.
Asked = tuple[str, ...]
# Han, kana, Thai, Lao, Tibetan, Myanmar and Khmer are written without spaces between words.
_RUNS = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
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
_JOINERS = str.maketrans(
    "\u2010\u2011\u2012\u2013\u2212\u2019\u2018\u201b\u02bc\u02bb\u02b9\u2032\u00b4`",
    "-" * 5 + "'" * 9,
)
_SCRIPTS = ("LATIN", "GREEK", "CYRILLIC")


def normal(text: str) -> str:
    """Return a text as it is compared."""
    if text.isascii():
        return text.lower().translate(_JOINERS)
    # An accent that stands alone would be decomposed into a space.
    folded = unicodedata.normalize("NFKD", text.translate(_JOINERS)).casefold()
    decomposed = _INVISIBLE.sub("", unicodedata.normalize("NFKD", folded))
    kept = "".join(_typed(c) for c in decomposed if not _is_left_out(c))
    return unicodedata.normalize("NFC", kept).translate(_JOINERS)


def _is_left_out(character: str) -> bool:
    """Tell whether a mark is one that readers leave out, by its combining class.

    10 to 36 are the points of Hebrew, Arabic and Syriac; from 200 the accents. Vowel signs, viramas
    and tone marks have others, and make another word.
    """
    mark = unicodedata.combining(character)
    return 10 <= mark <= 36 or mark >= 200


@lru_cache(maxsize=4_096)
def _typed(character: str) -> str:
    """Return a letter as people type it who do not have it on their keyboard."""
    if character.isascii():
        return character
    name = unicodedata.name(character, "")
    if not name.startswith(_SCRIPTS):
        return character
    with suppress(KeyError):
        # Unicode's name says of which letter one is a form: o with stroke, ka with descender.
        character = unicodedata.lookup(name.partition(" WITH ")[0]).casefold()
    return anyascii(character).lower() if name.startswith("LATIN") else character


@lru_cache(maxsize=8_192)
def words_of(text: str) -> tuple[str, ...]:
    """Return what a word that is looked for may begin: each word of a text with all that is joined
    to it, and in scripts without spaces what follows each character."""
    words: list[str] = []
    for parts in _groups(text):
        joined = "".join(parts)
        starts = {i for i in range(1, len(joined)) if _RUNS.match(joined[i])}
        at = 0
        for part in parts:
            starts.add(at)
            at += len(part)
        words += [joined[start:] for start in sorted(starts)]
    return tuple(words[:MAX_WORDS])


def asked_words(text: str) -> list[Asked]:
    """Return what somebody looks for, each once; what is found by the fewest beginnings first."""
    asked = {tuple(parts) for parts in _groups(text)}
    return sorted(asked, key=lambda parts: (len(_heads(parts)), -len("".join(parts)), parts))


def heads_of(text: str) -> list[str]:
    """Return what a name is found by: the first HEAD_LENGTH characters of its words."""
    return sorted({word[:HEAD_LENGTH] for word in words_of(text)})


def heads_asked(asked: list[Asked]) -> list[Asked]:
    """Return of what is asked for the heads of which a name must have one, where there are any."""
    return [heads for parts in asked if (heads := _heads(parts))]


def _heads(parts: Asked) -> tuple[str, ...]:
    """Return the heads of which each name that has the parts has one; none: it may have any."""
    heads: set[str] = set()
    for end in range(1, len(parts) + 1):
        begun = "".join(parts[:end])
        if len(begun) >= HEAD_LENGTH:
            return tuple(sorted(heads | {begun[:HEAD_LENGTH]}))
        # As a word of its own it begins too many; what follows it has to be there as well.
        others = _heads(parts[end:])
        if not others:
            return ()
        heads.update(others)
    return ()


def is_match(name: str, asked: list[Asked]) -> bool:
    """Tell whether all that is asked for begins words of the name."""
    words = words_of(name)
    return all(_has(words, parts) for parts in asked)


def _has(words: tuple[str, ...], parts: Asked) -> bool:
    """Tell whether the parts begin words: each its own, or with its neighbours one together."""
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
    """Yield the compounds of a text; after a short word one goes on in the next: `t shirt`."""
    group: list[str] = []
    for parts in _compounds(normal(text)):
        group += parts
        if len(parts[-1]) >= HEAD_LENGTH:
            yield group
            group = []
    if group:
        yield group


def _compounds(text: str) -> Iterator[list[str]]:
    """Yield the words of a normal text, those together that nothing but a joiner separates."""
    parts: list[str] = []
    part, kind = "", ""
    for character in f"{text} ":
        if part and character in "+#":
            part += character
            continue
        if part and character in "-'":
            parts.append(part)
            part = ""
            continue
        if unicodedata.category(character)[0] not in "LMN":
            if parts or part:
                yield [*parts, part] if part else parts
            parts, part = [], ""
            continue
        before, kind = kind, _kind(character) or kind
        if part and (part[-1] in "+#" or _is_border(before, kind)):
            parts.append(part)
            part = ""
        part += character


@lru_cache(maxsize=8_192)
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
