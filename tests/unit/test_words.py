"""How names are searched: scripts, cases, marks, and beginnings of words."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storelog.words import asked_words, heads_asked, heads_of, is_match, normal, words_of


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("White Hanging Heart", "hang"),
        ("White Hanging Heart", "HEART white"),
        ("Straße 12", "STRASSE"),
        ("STRASSE", "straß"),
        ("Café crème", "cafe creme"),
        ("Cafe creme", "CAFÉ"),
        ("Ångström", "angstrom"),
        ("ΟΔΟΣ", "οδος"),
        ("Μαρία", "μαρια"),
        ("Йогурт", "йогурт"),
        ("İstanbul", "istanbul"),
        ("ﬁne ｗｉｄｅ", "fine wide"),
        ("مُحَمَّد علي", "محمد"),
        ("שָׁלוֹם", "שלום"),
        ("हिन्दी किताब", "हिन्दी"),
        ("東京タワー", "タワー"),
        ("東京タワー", "京タ"),
        ("ガラス", "ガラス"),
        ("กาแฟเย็น", "เย็น"),
        ("김민준", "김민"),
        ("O'Brien-Smith", "brien smith"),
        ("Lamp №5, 20cm", "no5 20"),
        ("𝔊𝔯𝔢𝔶 lamp", "grey"),
    ],
)
def test_a_name_is_found_by_the_beginnings_of_its_words(name: str, asked: str) -> None:
    words = asked_words(asked)
    assert words
    assert is_match(name, words)
    assert set(heads_asked(words)) <= set(heads_of(name))


@pytest.mark.parametrize(
    ("name", "asked"),
    [("White Heart", "eart"), ("White Heart", "white lamp"), ("हिन्दी", "हन"), ("Lamp", "lamps"),
     ("가방", "방"), ("ガラス", "カラス")],
)  # fmt: skip
def test_what_is_another_word_is_not_found(name: str, asked: str) -> None:
    assert not is_match(name, asked_words(asked))


@given(st.text(min_size=1, max_size=200))
def test_every_name_is_found_by_itself_in_any_case_and_form(name: str) -> None:
    for written in (name, name.upper(), name.lower(), unicodedata.normalize("NFD", name)):
        if normal(written) != normal(name):
            continue
        asked = asked_words(written)
        assert is_match(name, asked[:5]) or len(words_of(name)) == 200
        if len(words_of(name)) < 200:
            assert set(heads_asked(asked)) <= set(heads_of(name))


@given(st.text(max_size=60))
def test_normal_form_is_the_same_twice(text: str) -> None:
    assert words_of(normal(text)) == words_of(text)
