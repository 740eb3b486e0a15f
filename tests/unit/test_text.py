"""What makes two queries the same query, and what counts as saying nothing."""

import unicodedata

import pytest

from contracts.text import digest, is_blank, normalise


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("  How do I   appeal\ta\ngrade? ", "how do i appeal a grade?"),
        ("ＷＩＦＩ　password", "wifi password"),
        ("Straße", "strasse"),
        ("cafe\u0301", "caf\u00e9"),
        ("ﬁnancial aid", "financial aid"),
        ("", ""),
        (" \n ", ""),
        ("🎓 Graduation", "🎓 graduation"),
        ("متى الامتحان", "متى الامتحان"),
    ],
)
def test_case_width_composition_and_white_space_make_no_difference(text: str, normal: str) -> None:
    assert normalise(text) == normal


def test_punctuation_and_words_make_a_difference() -> None:
    assert len({normalise(text) for text in ("wifi", "wi-fi", "wi fi", "wifi?")}) == 4


def test_normalising_twice_changes_nothing_for_any_character() -> None:
    for code in range(0x20000):
        once = normalise(chr(code))
        assert normalise(once) == once, hex(code)


def test_normalising_twice_changes_nothing_for_combining_characters() -> None:
    marks = [chr(code) for code in range(0x300, 0x370)]
    for letter in "aAßİıſǅΐŉﬁﷺ":
        for mark in marks:
            once = normalise(letter + mark)
            assert normalise(once) == once, (letter, hex(ord(mark)))
            assert unicodedata.is_normalized("NFKC", once)


def test_the_digest_is_equal_exactly_for_equal_queries() -> None:
    assert digest("How do I appeal?") == digest("how do i  APPEAL?")
    assert digest("how do i appeal?") != digest("how do i appeal")
    assert len(digest("x")) == 64


def test_the_digest_takes_lone_surrogates_too() -> None:
    assert digest("\ud800") != digest("\ud801")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \t\n\u00a0\u3000\u2028",
        "\u200b\u200c\u200d\u2060\ufeff",
        "\x00\x01\x7f",
        "\u202e\u202c",
        "\u2800\u3164\u115f\u1160\uffa0",
        "\ufe0f",
        " \u200b \u200b ",
    ],
)
def test_what_nobody_can_see_is_blank(text: str) -> None:
    assert is_blank(text)


@pytest.mark.parametrize("text", [".", "0", "🎓", "\u200bx\u200b", "م", "\u0301a", "?"])
def test_whatever_can_be_seen_is_not_blank(text: str) -> None:
    assert not is_blank(text)
