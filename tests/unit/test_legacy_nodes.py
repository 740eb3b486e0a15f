"""What a document of the legacy Firestore means here."""

from typing import Any

import pytest

from contracts.records import KnowledgeNode
from store.legacy_nodes import is_hidden, read_legacy

INTENTS = ("graduation", "exams_and_grades")
OURS: dict[str, Any] = {
    "title": "Cap and gown",
    "body": "Order by week 6.",
    "url": "https://www.alderridge.example/gown",
    "intent": "graduation",
    "tags": ["cap", "gown"],
}
GOWN = KnowledgeNode(
    "gown",
    "Cap and gown",
    "Order by week 6.",
    "https://www.alderridge.example/gown",
    "graduation",
    ("cap", "gown"),
)


@pytest.mark.parametrize(
    "document",
    [
        OURS,
        {
            "heading": "Cap and gown",
            "content": "Order by week 6.",
            "link": "https://www.alderridge.example/gown",
            "category": "Graduation",
            "keywords": " cap, gown;",
            "createdAt": 1_700_000_000,
            "views": 12,
        },
        {
            "name": "Cap and gown",
            "answer": {"en": "Order by week 6.", "es": "Pida en la semana 6."},
            "metadata": {"href": "https://www.alderridge.example/gown", "topic": " graduation "},
            "tags": ["cap ", "", "gown", "cap"],
        },
        {
            **OURS,
            "title": None,
            "heading": "Cap and gown",
            "meta": {"title": "Not this", "tags": ["nor this"]},
        },
    ],
    ids=["ours", "flat", "nested", "first that is filled"],
)
def test_each_shape_of_a_document_is_the_same_node(document: dict[str, Any]) -> None:
    assert read_legacy("gown", document, intents=INTENTS) == GOWN


def test_a_category_is_an_intents_name_however_it_is_spelt() -> None:
    for category in ("Exams & Grades", "exams-and-grades", "EXAMS AND GRADES"):
        node = read_legacy("n", {**OURS, "intent": category}, intents=INTENTS)
        assert isinstance(node, KnowledgeNode)
        assert node.intent == "exams_and_grades"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "title: the document has none of title, heading, name; body: the document has none"),
        ({**OURS, "url": None}, "url: the document has none of url, link, href"),
        ({**OURS, "title": 7}, "title: Input should be a valid string"),
        ({**OURS, "body": {"fr": "Commandez."}}, "body: Input should be a valid string"),
        ({**OURS, "intent": "Astrology"}, "intent: astrology is none of data/intents.yaml"),
        ({**OURS, "intent": ["graduation"]}, "intent: Input should be a valid string"),
        ({**OURS, "intent": "???"}, "intent: ??? is none"),
        ({**OURS, "url": "gown.html"}, "url: String should match pattern"),
        ({**OURS, "tags": 5}, "tags: Input should be a valid list"),
        ({**OURS, "tags": ["cap", 5]}, "tags.1: Input should be a valid string"),
        ({**OURS, "title": "a\x00b"}, "holds a control character"),
    ],
)
def test_a_document_that_is_no_node_says_why(document: dict[str, Any], reason: str) -> None:
    found = read_legacy("gown", document, intents=INTENTS)
    assert isinstance(found, str)
    assert found.startswith(reason)


def test_a_document_without_tags_is_a_node_without_tags() -> None:
    node = read_legacy("gown", {**OURS, "tags": None}, intents=INTENTS)
    assert isinstance(node, KnowledgeNode)
    assert node.tags == ()


@pytest.mark.parametrize(
    "flag",
    [
        {"deleted": True},
        {"is_deleted": True},
        {"hidden": True},
        {"archived": True},
        {"published": False},
        {"active": False},
        {"visible": False},
        {"status": "Draft"},
        {"status": "deleted"},
        {"metadata": {"archived": True}},
    ],
)
def test_what_the_legacy_system_shows_to_nobody_is_hidden(flag: dict[str, Any]) -> None:
    assert is_hidden({**OURS, **flag})


@pytest.mark.parametrize(
    "flag", [{}, {"deleted": False}, {"published": True}, {"status": "live"}, {"deleted": None}]
)
def test_what_it_shows_is_not(flag: dict[str, Any]) -> None:
    assert not is_hidden({**OURS, **flag})
