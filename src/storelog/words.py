"""How names are searched: by the beginnings of their words, in any script and case.

A text is decomposed (NFKD), marks that readers leave out (accents, Arabic and Hebrew points) are
dropped, case is folded, and it is composed again. Letters, marks and digits make words. Scripts
that are written without spaces have a word begin at every character, so any part is found.
Next: projector/read_models/names.py
"""

import re
import unicodedata

# What is looked for is found by its first so many characters, and then compared whole.
HEAD_LENGTH = 3
MAX_WORDS = 200
# Han, kana, Thai, Lao, Tibetan, Myanmar and Khmer are written without spaces between words.
_RUNS = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


def normal(text: str) -> str:
    """Return a text as it is compared."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    kept = (c for c in unicodedata.normalize("NFKD", folded) if not _is_left_out(c))
    return unicodedata.normalize("NFC", "".join(kept))


def _is_left_out(character: str) -> bool:
    """Tell whether a mark is one that readers leave out, by its combining class.

    10 to 36 are the points of Hebrew, Arabic and Syriac; from 200 the accents. Vowel signs, viramas
    and tone marks have others, and make another word.
    """
    mark = unicodedata.combining(character)
    return 10 <= mark <= 36 or mark >= 200


def words_of(text: str) -> list[str]:
    """Return the words of a text, and in scripts without spaces what follows each character."""
    words: list[str] = []
    for word in _split(normal(text)):
        starts = [0, *(i for i in range(1, len(word)) if _RUNS.match(word[i]))]
        words += [word[start:] for start in starts]
    return words[:MAX_WORDS]


def asked_words(text: str) -> list[str]:
    """Return the words that somebody looks for, each once, the longest first."""
    return sorted(set(_split(normal(text))), key=lambda word: (-len(word), word))


def heads_of(text: str) -> list[str]:
    """Return what a name is found by: the first HEAD_LENGTH characters of its words."""
    return sorted({word[:HEAD_LENGTH] for word in words_of(text)})


def heads_asked(asked: list[str]) -> list[str]:
    """Return what of the words asked for finds names; a shorter word begins too many."""
    return [word[:HEAD_LENGTH] for word in asked if len(word) >= HEAD_LENGTH]


def is_match(name: str, asked: list[str]) -> bool:
    """Tell whether each word that is asked for begins a word of the name."""
    words = words_of(name)
    return all(any(word.startswith(wanted) for word in words) for wanted in asked)


def _split(text: str) -> list[str]:
    """Return the runs of letters, marks and digits."""
    spaced = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return spaced.split()
