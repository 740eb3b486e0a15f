"""Snippets: plain text that shows why a node matched."""

import pytest

from store.snippets import SNIPPET_CHARS, Passages, stems

BODY = """Every undergraduate has an adviser. Book in RidgePort; slots are 30 minutes.

For short questions, use drop-in hours in Larkin 210, Mon. to Thu. from 1 to 4 p.m. every week.
1. Open the Advising tile.
2. Choose Schedule.

If the match is not working, ask for another adviser with the Adviser Change form."""


def test_the_passage_that_speaks_of_the_question_is_shown() -> None:
    snippet = Passages.of(BODY).snippet(stems("whom do i ask to switch advisers, a form?"))
    assert "Adviser Change form" in snippet
    assert len(snippet) <= SNIPPET_CHARS


def test_without_a_matching_word_the_beginning_is_shown() -> None:
    assert Passages.of(BODY).snippet(stems("zebra")).startswith("Every undergraduate has")


def test_white_space_is_collapsed_and_abbreviations_do_not_end_a_sentence() -> None:
    snippet = Passages.of(BODY).snippet(stems("drop-in"))
    assert "Larkin 210, Mon. to Thu. from 1 to 4 p.m. every week." in snippet
    assert "\n" not in snippet
    assert "1. Open the Advising tile." in Passages.of(BODY).snippet(stems("tile"))


def test_a_long_sentence_is_cut_round_its_matching_words() -> None:
    long = "word " * 100 + "the appeal of a grade " + "more " * 100
    snippet = Passages.of(long).snippet(stems("grade appeals"))
    assert "appeal of a grade" in snippet
    assert snippet.startswith("… ")
    assert snippet.endswith(" …")
    assert len(snippet) <= SNIPPET_CHARS + 4


def test_a_short_match_before_a_long_sentence_is_shown_with_its_beginning() -> None:
    snippet = Passages.of("Appeals are free. " + "and then " * 60).snippet(stems("appeal"))
    assert snippet.startswith("Appeals are free. and then and then")
    assert len(snippet) > SNIPPET_CHARS // 2


@pytest.mark.parametrize("text", ["", "   \n ", "x" * 5_000, "?!", "مرحبا بالعالم", "🎓" * 300])
def test_odd_texts_have_a_snippet_too(text: str) -> None:
    snippet = Passages.of(text).snippet(stems("grade"))
    assert len(snippet) <= SNIPPET_CHARS + 4


def test_nothing_in_the_text_is_taken_for_markup() -> None:
    assert "<b>5 < 6</b> & more" in Passages.of("Say <b>5 < 6</b> & more.").snippet(frozenset())


def test_forms_of_a_word_have_one_stem_and_words_that_say_nothing_have_none() -> None:
    assert len(stems("appeal appeals appealing Appealed appeal's")) == 1
    assert len(stems("drop drops dropped dropping")) == 1
    assert stems("how do I get the") == frozenset()
