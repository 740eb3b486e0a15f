"""What a frontend shows besides answers: complete, the same every time, and of one mind with
the knowledge nodes."""

import json
import shutil
from pathlib import Path

import httpx
import pytest
import yaml

from contracts.messages import Hints
from contracts.outcome import OUT_OF_SCOPE
from contracts.settings import DATA
from graph.crisis import CrisisDetector
from graph.hints import MOST_EXAMPLES, read_hints
from graph.http import build_http
from graph.service import Service

INTENTS = yaml.safe_load((DATA / "intents.yaml").read_text())["intents"]
NODES = {
    node["id"]: node["body"] for node in json.loads((DATA / "knowledge_nodes.json").read_text())
}

WHERE_A_NUMBER_STANDS = {
    "Campus Safety, emergencies": "safety-emergency",
    "Alder Ridge Crisis Line": "counsel-crisis",
    "Campus Safety, not urgent": "safety-emergency",
    "Counseling Center": "counsel-first-appointment",
    "Student Health Center": "health-appointments",
    "IT Help Desk": "it-password-reset",
    "Information desk": "hub-talk-to-a-person",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the data files that hints are read from."""
    for name in ("crisis.yaml", "contacts.yaml", "intents.yaml"):
        shutil.copy(DATA / name, tmp_path / name)
    return tmp_path


def test_the_card_is_the_one_that_an_answer_shows() -> None:
    card = CrisisDetector.from_yaml(DATA / "crisis.yaml").match("i want to die")
    assert card is not None
    assert read_hints().crisis.model_dump() == vars(card)


def test_contacts_are_few_and_the_urgent_ones_come_first() -> None:
    contacts = read_hints().contacts
    assert 5 <= len(contacts) <= 7
    assert [one.phone for one in contacts[:2]] == ["555-0100", "555-0188"]


def test_every_number_is_the_one_that_the_university_wrote() -> None:
    for contact in read_hints().contacts:
        assert contact.phone in NODES[WHERE_A_NUMBER_STANDS[contact.name]], contact.name


def test_examples_are_a_handful_of_different_intents_that_can_be_answered() -> None:
    hints = read_hints()
    intent_of = {text: intent["name"] for intent in INTENTS for text in intent["examples"]}
    intents = [intent_of[text] for text in hints.examples]
    assert len(set(intents)) == len(intents) == MOST_EXAMPLES
    assert OUT_OF_SCOPE not in intents
    detector = CrisisDetector.from_yaml(DATA / "crisis.yaml")
    assert not [text for text in hints.examples if detector.match(text)]


def test_examples_are_the_same_every_time(folder: Path) -> None:
    assert read_hints(folder).examples == read_hints().examples


def test_few_intents_give_few_examples(folder: Path) -> None:
    rows = [
        {"name": "b", "title": "B", "examples": ["of b", "of b too"]},
        {"name": OUT_OF_SCOPE, "title": "Out of scope", "examples": ["a joke"]},
        {"name": "a", "title": "A", "examples": []},
    ]
    (folder / "intents.yaml").write_text(yaml.safe_dump({"intents": rows}))
    hints = read_hints(folder)
    assert hints.examples == ["of b"]
    assert hints.intents == {"b": "B", OUT_OF_SCOPE: "Out of scope", "a": "A"}


def test_every_intent_has_a_title() -> None:
    assert read_hints().intents == {intent["name"]: intent["title"] for intent in INTENTS}


CONTACT = "contacts:\n- {name: n, text: t, phone: 555-0100}\n"


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("contacts.yaml", "", "the file"),
        ("contacts.yaml", "contacts: [", "not valid YAML"),
        ("contacts.yaml", b"contacts: [\xff]", "not valid YAML"),
        ("contacts.yaml", "contacts: []", "contacts"),
        ("contacts.yaml", CONTACT + "- x\n", r"contacts\[1\]"),
        ("contacts.yaml", CONTACT + "- {name: n, phone: 555-0101}\n", r"contacts\[1\]\.text"),
        ("contacts.yaml", CONTACT + "- {name: n, text: t, phone: 5550101}\n", r"\[1\]\.phone"),
        ("contacts.yaml", CONTACT + "- {name: n, text: t, phone: call us}\n", r"\[1\]\.phone"),
        ("crisis.yaml", "card: {title: t, text: x, phone: p}", r"card\.url"),
        ("intents.yaml", "intents: {a: b}", "intents"),
        ("intents.yaml", "intents: [{name: a, examples: [x]}]", r"intents\[0\]\.title"),
        ("intents.yaml", "intents: [{name: a, title: A}]", r"intents\[0\]\.examples"),
        ("intents.yaml", "intents: [{name: a, title: A, examples: [3]}]", r"examples\[0\]"),
        (
            "intents.yaml",
            "intents: [{name: a, title: A, examples: []}, {name: a, title: B, examples: []}]",
            r"intents\[1\]\.name",
        ),
    ],
)
def test_a_damaged_file_is_refused_by_name_and_place(
    folder: Path, name: str, content: str | bytes, place: str
) -> None:
    damaged = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(damaged)
    with pytest.raises(ValueError, match=rf"{name}: .*{place}"):
        read_hints(folder)


def test_a_file_that_is_not_there_is_reported_as_such(folder: Path) -> None:
    (folder / "contacts.yaml").unlink()
    with pytest.raises(FileNotFoundError, match=r"contacts\.yaml"):
        read_hints(folder)


async def test_hints_are_served_while_everything_else_is_away() -> None:
    def away() -> Service:
        raise ConnectionError("no stage, no database")

    transport = httpx.ASGITransport(build_http(away))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
        response = await client.get("/v1/hints")
    assert response.status_code == 200
    assert Hints.model_validate_json(response.content) == read_hints()
