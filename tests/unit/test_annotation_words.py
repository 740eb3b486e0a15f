"""The small pure parts of the annotation view: pace, what is shown, and who a token is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from annotation.intents import read_intents, title_of
from annotation.pace import items_per_minute
from annotation.showing import answer_line, origin_line, plain, query_html
from annotation.sign_in import name_from_claims
from contracts.errors import DataError
from contracts.records import ReviewItem
from training.examples import read_labels

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ITEM = ReviewItem(
    item_id="a",
    query_text="where is my grade",
    reason="doubtful",
    priority=1.0,
    asked_at=NOW,
    model_version="v3",
    intent="exams_and_grades",
    confidence=0.524,
    alternatives=(),
    outcome="confused",
    result_ids=(),
    source="real",
)


def labelled(*seconds_ago: float) -> list[datetime]:
    return [NOW - timedelta(seconds=seconds) for seconds in seconds_ago]


@pytest.mark.parametrize(
    ("seconds_ago", "expected"),
    [
        ((0, 3, 6, 9, 12), 20.0),
        ((30, 90), 1.0),
        # Before a pause of more than two minutes nothing counts.
        ((0, 10, 200, 201, 202), 6.0),
    ],
)
def test_pace_is_counted_since_the_last_pause(
    seconds_ago: tuple[float, ...], expected: float
) -> None:
    assert items_per_minute(labelled(*seconds_ago), now=NOW) == pytest.approx(expected)


@pytest.mark.parametrize("seconds_ago", [(), (1,), (121, 124), (5, 300), (7, 7)])
def test_pace_is_unknown_after_a_pause_or_for_a_single_label(
    seconds_ago: tuple[float, ...],
) -> None:
    assert items_per_minute(labelled(*seconds_ago), now=NOW) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("*bold* _it_ `code`", r"\*bold\* \_it\_ \`code\`"),
        (":red[no] $x^2$", r"\:red\[no\] \$x\^2\$"),
        ("<b> # head", r"\<b\> \# head"),
        ("- [a](b) ~c~ | \\", r"\- \[a\]\(b\) \~c\~ \| \\"),
        ("is übung 3 ok", "is übung 3 ok"),
    ],
)
def test_markup_in_a_query_is_text(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_a_query_of_several_lines_is_one_line_of_markdown_and_keeps_them_as_html() -> None:
    assert plain("one\n\n  two") == "one two"
    assert "one\n&lt;script&gt;" in query_html("one\n<script>")


def test_what_the_hub_answered_is_one_line() -> None:
    assert answer_line(ITEM, title="Exams") == "The hub was not sure: **Exams**, 52% sure."
    nothing = replace(ITEM, intent=None, confidence=None)
    assert answer_line(nothing, title="no intent") == (
        "The hub was not sure: no classifier was there."
    )


def test_it_says_why_a_query_is_here_and_how_many_a_label_counts_for() -> None:
    assert origin_line(ITEM) == "doubtful answer · asked 22 Nov 2026"
    folded = replace(ITEM, members=12, source="simulated", reason="thumbs_down")
    assert origin_line(folded) == (
        "thumb down · asked 22 Nov 2026 · simulated · **labels these 12 alike**"
    )


def test_every_intent_that_training_knows_can_be_chosen() -> None:
    intents = read_intents()
    assert tuple(intents) == read_labels()
    assert title_of("exams_and_grades", intents) == "Exams and grades"
    assert title_of("unclear", intents) == "Unclear"
    assert title_of("gone_since", intents) == "gone_since"
    assert title_of(None, intents) == "no intent"


@pytest.mark.parametrize("text", ["", "intents: 3", "intents: [{name: a}]", "intents: ["])
def test_a_damaged_file_of_intents_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "intents.yaml"
    file.write_text(text)
    with pytest.raises(DataError, match="No label can be given"):
        read_intents(file)


@pytest.mark.parametrize(
    ("claims", "trusts_unmarked", "name"),
    [
        ({"email": "Ana@Example.org", "email_verified": True}, False, "ana@example.org"),
        ({"email": "ana@example.org"}, False, None),
        ({"email": "ana@example.org"}, True, "ana@example.org"),
        ({"email": "ana@example.org", "email_verified": False}, True, None),
        ({"email": "ana@example.org", "email_verified": "false"}, True, None),
        ({"email": " "}, True, None),
        ({"email": ["ana@example.org"], "email_verified": True}, True, None),
        ({"name": "Ana", "email_verified": True}, True, None),
    ],
)
def test_a_token_is_the_account_of_its_verified_address(
    claims: dict[str, object], trusts_unmarked: bool, name: str | None
) -> None:
    assert name_from_claims(claims, trusts_unmarked=trusts_unmarked) == name
