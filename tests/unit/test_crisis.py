"""What a student in danger is promised: the card, however they type it, and no card otherwise."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest
import yaml

from graph.crisis import CrisisCard, CrisisDetector

ROOT = Path(__file__).resolve().parents[2]
CRISIS_FILE = ROOT / "data" / "crisis.yaml"
CASES: dict[str, list[str]] = yaml.safe_load(
    (Path(__file__).parent / "crisis_cases.yaml").read_text(encoding="utf-8")
)


@pytest.fixture(scope="module")
def detector() -> CrisisDetector:
    return CrisisDetector.from_yaml(CRISIS_FILE)


@pytest.mark.parametrize("text", CASES["crisis"])
def test_a_text_that_speaks_of_a_crisis_gets_the_card(detector: CrisisDetector, text: str) -> None:
    assert detector.match(text) is not None


@pytest.mark.parametrize("text", CASES["no_crisis"])
def test_a_text_that_only_sounds_like_a_crisis_gets_no_card(
    detector: CrisisDetector, text: str
) -> None:
    assert detector.match(text) is None


def test_no_harmless_phrase_hides_a_crisis_beside_it(detector: CrisisDetector) -> None:
    crises = ("{} and i want to kill myself", "i want to die, {}", "{}. he has a gun")
    hidden = [
        sentence.format(text)
        for text in CASES["no_crisis"]
        for sentence in crises
        if detector.match(sentence.format(text)) is None
    ]
    assert hidden == []


def test_there_are_enough_cases_and_none_is_listed_twice() -> None:
    crisis, no_crisis = CASES["crisis"], CASES["no_crisis"]
    assert len(crisis) >= 70
    assert len(no_crisis) >= 90
    assert len({*crisis, *no_crisis}) == len(crisis) + len(no_crisis)


def test_the_card_names_every_way_to_reach_help(detector: CrisisDetector) -> None:
    card = detector.match("i want to die")
    assert card is not None
    assert card.phone == "555-0188"
    assert card.url == "https://www.alderridge.example/counseling/urgent"
    for number in ("555-0188", "988", "911"):
        assert number in card.text


def test_the_card_cannot_be_changed(detector: CrisisDetector) -> None:
    card = detector.match("i want to die")
    assert card is not None
    with pytest.raises(dataclasses.FrozenInstanceError):
        card.phone = "555-0100"  # type: ignore[misc]


@pytest.mark.parametrize("text", ["", " ", "\n\t", "?", "🍕", "\x00", "\ud800"])
def test_a_text_with_nothing_in_it_gets_no_card_and_no_error(
    detector: CrisisDetector, text: str
) -> None:
    assert detector.match(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "i don't want to be alive",
        "i don’t want to be alive",
        "i dont want to be alive",
        "I DON`T WANT TO BE ALIVE",
        "i don't\u00a0want \n to be   alive",
    ],
)
def test_case_apostrophes_and_spacing_make_no_difference(
    detector: CrisisDetector, text: str
) -> None:
    assert detector.match(text) is not None


def test_words_on_the_two_sides_of_an_idiom_do_not_join_into_a_phrase() -> None:
    card = CrisisCard(title="t", text="t", phone="p", url="u")
    detector = CrisisDetector(card, patterns=["want to die"], idioms=["kill time"])
    assert detector.match("i want to kill time die hard is on at eight") is None
    assert detector.match("kill time i want to die") is card


def test_a_crisis_at_the_end_of_a_long_story_is_found(detector: CrisisDetector) -> None:
    story = "so i went to class and the bus was late and my phone died. " * 32
    assert detector.match(story) is None
    assert detector.match(story + "i want to kill myself") is not None


REPEATED = """
a|i |i want to |kill |he |my roommate |took all my |dont really |the |my friend was just being
|someone with a big |following me |hit me with a |giving away all my stuff |. |!|'|s|0|x1 | |
|essay on the role of |wish i could just |hurt myself very |nobody would care if |is killing me
|i hope i dont |mom is going to kill me if |help the guy |gave me |he said he would just
""".replace("\n", "").split("|")


@pytest.mark.parametrize("piece", [piece for piece in REPEATED if piece])
def test_the_time_taken_grows_no_faster_than_the_text(detector: CrisisDetector, piece: str) -> None:
    def fastest(length: int) -> float:
        text = (piece * length)[:length]
        times = []
        for _ in range(3):
            started = time.process_time()
            detector.match(text)
            times.append(time.process_time() - started)
        return min(times)

    # Four times the text may take ten times as long before this fails: quadratic would take 16.
    assert fastest(8_000) < 10 * fastest(2_000) + 0.02
    assert fastest(2_000) < 0.5


def test_every_pattern_in_the_file_matches_at_least_one_case() -> None:
    """A rule that no case tries is a rule that nobody can safely change."""
    document = yaml.safe_load(CRISIS_FILE.read_text(encoding="utf-8"))
    card = CrisisCard(title="t", text="t", phone="p", url="u")
    idle = []
    for pattern in document["patterns"]:
        alone = CrisisDetector(card, [pattern], [])
        found = (text for text in CASES["crisis"] if alone.match(text))
        with_idioms = CrisisDetector(card, [pattern], document["idioms"])
        if not any(with_idioms.match(text) for text in found):
            idle.append(pattern)
    assert idle == []


GOOD_CARD = "card: {title: t, text: x, phone: p, url: u}\n"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "card: [",
        "patterns: [a]\nidioms: []\n",
        "card: {title: t, text: x, phone: p}\npatterns: [a]\nidioms: []\n",
        "card: {title: t, text: x, phone: 5550188, url: u}\npatterns: [a]\nidioms: []\n",
        GOOD_CARD + "patterns: []\nidioms: []\n",
        GOOD_CARD + "patterns: [a]\n",
        GOOD_CARD + "patterns: a\nidioms: []\n",
        GOOD_CARD + "patterns: ['(']\nidioms: []\n",
        GOOD_CARD + "patterns: ['a*']\nidioms: []\n",
        GOOD_CARD + "patterns: [a]\nidioms: ['b|']\n",
        GOOD_CARD + "patterns: [a, 3]\nidioms: []\n",
    ],
)
def test_a_damaged_file_is_refused_by_name_and_never_half_read(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"broken\.yaml"):
        CrisisDetector.from_yaml(path)


def test_a_file_that_is_not_there_is_reported_as_such(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        CrisisDetector.from_yaml(tmp_path / "none.yaml")


def test_a_file_may_be_named_by_a_path_or_by_text() -> None:
    assert CrisisDetector.from_yaml(str(CRISIS_FILE)).match("i want to die") is not None
