"""A small model is taught by a large one, with texts that nobody labelled."""

import copy
from random import Random

import pytest
import torch

from contracts.records import KnowledgeNode
from contracts.text import digest
from training.distillation import Lesson, Taught, distil
from training.examples import Example
from training.intent_model import DistilBertIntents
from training.mobilebert import MobileBertIntents, Shape, cut_from
from training.unlabelled import sentences_of, teaching_texts, varied

TEXTS = [f"how do i {do} a {thing}" for do in ("book", "find", "drop") for thing in ("room", "gym")]
LESSON = Lesson(steps=6, batch=4, threads=1)
NODE = KnowledgeNode(
    id="n", title="Gym", body="Open daily. No!", url="/", intent="student_life", tags=("sport",)
)


@pytest.fixture(scope="module")
def teacher() -> DistilBertIntents:
    torch.manual_seed(3)
    return DistilBertIntents(3)


def taught(pupil: MobileBertIntents, *, teacher: DistilBertIntents, said: list[str]) -> Taught:
    return distil(
        copy.deepcopy(pupil),
        teacher=teacher,
        texts=TEXTS,
        validation=[Example(text, "any") for text in TEXTS],
        lesson=LESSON,
        report=said.append,
    )


def test_it_learns_the_same_twice_says_so_and_leaves_the_words_alone(
    teacher: DistilBertIntents,
) -> None:
    said: list[str] = []
    before = cut_from(teacher, shape=Shape(word_dims=16, kept=(2, 5)))
    one = taught(before, teacher=teacher, said=said)
    two = taught(before, teacher=teacher, said=[])
    assert one.record | {"seconds": 0} == two.record | {"seconds": 0}
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, two.model.state_dict()[name]), name
    words = "body.embeddings.word_embeddings.weight"
    assert torch.equal(one.model.state_dict()[words], before.state_dict()[words])
    assert not torch.equal(one.model.head.weight, before.head.weight)
    assert said[0].startswith("distil: step 6 of 6, loss")
    assert 0 <= one.agreement <= 1


def test_a_node_gives_its_title_its_tags_and_its_sentences() -> None:
    assert list(sentences_of([NODE])) == ["Gym", "sport", "Open daily."]


def test_each_text_counts_once_redacted_and_none_that_judges() -> None:
    found = teaching_texts(
        ["Where is the gym", "where is the GYM", "mail me at a.b@example.edu", " "],
        ["the golden one"],
        judging={digest("The golden one")},
    )
    assert found == ["Where is the gym", "mail me at [email]"]


def test_a_varied_text_is_another_one_of_known_words_and_never_nothing() -> None:
    random = Random(5)
    made = [varied(TEXTS[0], others=TEXTS, random=random) for _ in range(200)]
    assert all(made)
    assert len(set(made)) > 50
    assert varied("", others=TEXTS, random=random) == ""
    assert varied("gym", others=["gym"], random=random) == "gym"
