"""How names are searched: scripts, cases, marks, and beginnings of words."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storelog.words import AskedWord, asked_words, heads_asked, heads_of, is_match, normal, words_of


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
    assert_indexed(name, words)


def assert_indexed(name: str, words: list[AskedWord]) -> None:
    """Assert that the name has one of the heads by which each word is looked for."""
    for heads in heads_asked(words):
        assert set(heads) & set(heads_of(name)), (name, words)


@pytest.mark.parametrize(
    ("name", "asked"),
    [("White Heart", "eart"), ("White Heart", "white lamp"), ("हिन्दी", "हन"), ("Lamp", "lamps"),
     ("가방", "방"), ("ガラス", "カラス"), ("Chair", "c++"), ("C# guide", "c++"), ("C++", "c#"),
     ("Lamp Shade", "lamps"), ("Москва", "moskva"), ("Αθήνα", "athina"), ("東京", "dong"),
     ("Wi-Fi", "ifi"), ("Fig wine", "wifi")],
)  # fmt: skip
def test_what_is_another_word_is_not_found(name: str, asked: str) -> None:
    assert not is_match(name, asked_words(asked))


@pytest.mark.parametrize(
    ("name", "asked"),
    [("Søren Ørsted", "soren orsted"), ("Łódź", "lodz"), ("Straße", "strasse"), ("Ægir", "aegir"),
     ("Œuvre", "oeuvre"), ("Đorđe", "dorde"), ("ırmak", "irmak"), ("Þór", "thor"), ("Ħal", "hal"),
     ("Soren", "søren"), ("Lodz", "łódź"), ("IRMAK", "ırmak"), ("Ǿ Ɨstme", "istme"),
     ("Ёлка", "елка"), ("Елка", "ёлка"), ("Ґанок", "ганок"), ("Қазақ", "казак"), ("Ўзбек", "узбек"),
     ("Οδυσσεύς", "οδυσσευς"), ("ΟΔΥΣΣΕΥΣ", "οδυσσεύς"), ("Ἀθῆναι", "αθηναι")],
)  # fmt: skip
def test_letters_are_found_as_people_type_them(name: str, asked: str) -> None:
    words = asked_words(asked)
    assert is_match(name, words)
    assert_indexed(name, words)


WIFI = ["wifi", "wi-fi", "wi fi", "WiFi", "wi\u2011fi", "wi\u2010fi", "wi\u00adfi", "wi\u200b-fi"]
SHIRT = ["tshirt", "t-shirt", "t shirt", "T\u2013Shirt"]
NEILL = ["oneill", "o'neill", "o\u2019neill", "o\u2018neill", "O\u02bcNeill", "o neill",
         "o\u00b4neill", "o`neill", "\uff2f\uff07neill"]  # fmt: skip


@pytest.mark.parametrize("forms", [WIFI, SHIRT, NEILL])
def test_joined_and_split_forms_find_one_another(forms: list[str]) -> None:
    for asked in forms:
        words = asked_words(asked)
        for name in forms:
            for whole in (name, f"The {name} 5"):
                assert is_match(whole, words), (whole, asked)
                assert_indexed(whole, words)


@pytest.mark.parametrize(
    ("name", "asked"),
    [("苹果iPhone手机壳", "iphone"), ("苹果iPhone手机壳", "手机"),
     ("苹果iPhone手机壳", "iphone手机"), ("iPhone 手机壳", "iphone手机壳"), ("第5代", "5代"),
     ("ソニーPlayStation5用", "playstation5"),
     ("タブレット10インチ", "10"), ("삼성Galaxy폰", "galaxy"),
     ("佐々木", "々木"), ("เสื้อNike", "nike"),
     ("小米13Pro", "13pro"), ("20cm", "20cm")],
)  # fmt: skip
def test_words_begin_where_scripts_meet(name: str, asked: str) -> None:
    words = asked_words(asked)
    assert is_match(name, words)
    assert_indexed(name, words)


@pytest.mark.parametrize(
    "mark", list("\u00ad\u200b\u200c\u200d\u2060\ufeff\u200e\u202b\u2066\ufe0f")
)
def test_invisible_characters_are_ignored(mark: str) -> None:
    for name in (f"soft{mark}ware", f"{mark}software", f"software{mark}", f"s{mark}o{mark}ftware"):
        for asked in ("software", name):
            assert words_of(name) == words_of("software")
            assert is_match(name, asked_words(asked))


@pytest.mark.parametrize(
    ("name", "asked"),
    [("C++ Primer", "c++"), ("C++11 Primer", "c++"), ("Learn C#", "c#"), ("C++", "c"), ("C#", "c"),
     ("Ｃ＋＋", "c++"), ("Notepad++", "notepad++"), ("Notepad++", "notepad"),
     ("1+1", "1+1"), ("a+b", "b")],
)  # fmt: skip
def test_signs_after_a_word_belong_to_it(name: str, asked: str) -> None:
    words = asked_words(asked)
    assert is_match(name, words)
    assert_indexed(name, words)


@given(st.text(min_size=1, max_size=200))
def test_every_name_is_found_by_itself_in_any_case_and_form(name: str) -> None:
    for written in (name, name.upper(), name.lower(), unicodedata.normalize("NFD", name)):
        if normal(written) != normal(name):
            continue
        asked = asked_words(written)
        assert is_match(name, asked[:5]) or len(words_of(name)) == 200
        if len(words_of(name)) < 200:
            assert_indexed(name, asked)


@given(st.text(max_size=60))
def test_normal_form_is_the_same_twice(text: str) -> None:
    assert words_of(normal(text)) == words_of(text)


@pytest.mark.parametrize(
    ("name", "asked", "is_found"),
    [("Bottle 2.5l", "2.5", True), ("Bottle 2.5l", "2,5l", True), ("Bottle 2.5l", "2.5 l", True),
     ("Bottle 2.5l", "25", False), ("Plate 25cm", "2.5", False), ("2,5 l", "2.5l", True),
     ("1,000 pins", "1000", True), ("1000 pins", "1,000", True), ("1.000.000", "1000000", True),
     ("24.12.2025", "2025", True), ("0.125", "0,125", True), ("Rule 100cm", "100 cm", True),
     ("Rule 100 cm", "100cm", True), ("\u21165", "no5", True), ("\u21165", "5", True),
     ("\u2116 5", "\u21165", True), ("No. 5", "\u21165", True),
     ("\u0663 \u0661\u0665", "3 15", True),     ("Size 3", "\u0663", True)],
)  # fmt: skip
def test_numbers_are_found_as_they_are_written(name: str, asked: str, *, is_found: bool) -> None:
    words = asked_words(asked)
    assert is_match(name, words) is is_found
    if is_found:
        assert_indexed(name, words)


@pytest.mark.parametrize(
    ("name", "asked"),
    [("\U0001f381", "\U0001f381"), ("Gift \U0001f381 box", "\U0001f381"),
     ("\u2764\ufe0f love", "\u2764"),
     ("Gift\U0001f381box", "gift box"), ("\U0001f44d\U0001f3fd", "\U0001f44d"),
     ("\U0001f468\u200d\U0001f469", "\U0001f469"), ("\u2122Brand\u2122", "brand"),
     ("Brand", "brand\u2122"), ("Ba\u02bfal", "baal"), ("O\u02c8Brien", "obrien"),
     ("O\ua78cBrien", "o'brien"), ("paral\u00b7lel", "parallel"),
     ("スーパー・マン", "スーパーマン")],
)  # fmt: skip
def test_emoji_are_words_and_other_signs_join_or_separate(name: str, asked: str) -> None:
    words = asked_words(asked)
    assert words
    assert is_match(name, words)
    assert_indexed(name, words)


@pytest.mark.parametrize("asked", ["c", "c++", "c#", "17", ".NET", "f#", "f"])
def test_the_shortest_words_have_heads_too(asked: str) -> None:
    words = asked_words(asked)
    name = "C++17, C# and F# for .NET"
    assert is_match(name, words)
    assert len(heads_asked(words)) == len(words)
    assert_indexed(name, words)
