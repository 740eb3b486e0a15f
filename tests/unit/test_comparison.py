"""Two versions on the same queries, in the words of today's intents."""

from pathlib import Path

from models.classifier import IntentClassifier
from tests.tiny_classifier import make_tiny_classifier
from training.comparison import compare_versions
from training.examples import Example
from training.gate import Judged

OLD_LABELS = ("gym", "dining", "out_of_scope")
NEW_LABELS = ("student_life", "dining", "out_of_scope")


def classifiers(tmp_path: Path) -> dict[str, IntentClassifier]:
    champion = make_tiny_classifier(
        tmp_path / "old",
        words={"squash": "gym", "pizza": "dining"},
        labels=OLD_LABELS,
        otherwise="out_of_scope",
    )
    candidate = make_tiny_classifier(
        tmp_path / "new",
        words={"squash": "student_life", "pizza": "dining", "tacos": "dining"},
        labels=NEW_LABELS,
        otherwise="out_of_scope",
    )
    return {"champion": IntentClassifier(champion), "candidate": IntentClassifier(candidate)}


def test_each_query_is_judged_by_both_and_a_retired_intent_counts_as_its_successor(
    tmp_path: Path,
) -> None:
    examples = [Example("squash", "student_life"), Example("tacos", "dining")]
    versions = classifiers(tmp_path)
    for one_by_one in (False, True):
        judged = compare_versions(
            examples, **versions, retired={"gym": "student_life"}, one_by_one=one_by_one
        )
        assert judged == [
            Judged("squash", "student_life", champion="student_life", candidate="student_life"),
            Judged("tacos", "dining", champion="out_of_scope", candidate="dining"),
        ]


def test_an_intent_without_successor_stays_a_wrong_answer(tmp_path: Path) -> None:
    (judged,) = compare_versions(
        [Example("squash", "student_life")], **classifiers(tmp_path), retired={"gym": None}
    )
    assert judged.champion == "gym"
    assert not judged.champion_is_right


def test_nothing_to_compare_is_no_comparison(tmp_path: Path) -> None:
    assert compare_versions([], **classifiers(tmp_path), retired={}) == []
