"""Firestore as a source, by Google's own client: pages, cursors, breaks, refusals."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.cloud.firestore_v1.types import Value
from google.cloud.firestore_v1.vector import Vector

from contracts.errors import DataError, SettingsError, SourceUnavailable
from store.knowledge_firestore import FirestoreCollection
from store.knowledge_source import BadRow
from tests.stand_ins.firestore import Failure, FirestoreStandIn

URL = "firestore://legacy/knowledge_nodes"
DELETED = {"heading": "Old news", "deleted": True}


def legacy(number: int, **changes: Any) -> dict[str, Any]:
    """A document as the legacy system kept them."""
    return {
        "heading": f"Cap and gown {number}",
        "content": "Order by week 6.",
        "link": f"https://www.alderridge.example/{number}",
        "category": "Graduation",
        "keywords": "cap, gown",
        "updatedAt": datetime(2026, 2, 1, tzinfo=UTC),
        "embedding": Vector([0.1] * 768),
        **changes,
    }


@pytest.fixture
def firestore(monkeypatch: pytest.MonkeyPatch) -> Iterator[FirestoreStandIn]:
    documents = {f"n{number}": legacy(number) for number in range(7)}
    with FirestoreStandIn({"knowledge_nodes": documents}) as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.host)
        yield server


def test_documents_come_in_pages_by_id_and_from_behind_any_of_them(
    firestore: FirestoreStandIn,
) -> None:
    source = FirestoreCollection(URL, page_rows=3, intents=["graduation"])
    pages = list(source.pages())
    ids = [[node.id for node in page.nodes] for page in pages]
    assert ids == [["n0", "n1", "n2"], ["n3", "n4", "n5"], ["n6"]]
    assert [page.upto for page in pages] == ["n2", "n5", "n6"]
    assert firestore.documents_read == 7
    rest = [node.id for page in source.pages(after="n4") for node in page.nodes]
    assert rest == ["n5", "n6"]
    assert firestore.documents_read == 9
    assert list(source.pages(after="n6")) == []


def test_a_subcollection_is_read_as_well(firestore: FirestoreStandIn) -> None:
    firestore.collections["sites/main/knowledge_nodes"] = {"one": legacy(1)}
    (page,) = FirestoreCollection("firestore://legacy/sites/main/knowledge_nodes").pages()
    assert [node.id for node in page.nodes] == ["one"]


def test_documents_that_cannot_be_read_are_named_and_the_others_are_read(
    firestore: FirestoreStandIn,
) -> None:
    documents = firestore.collections["knowledge_nodes"]
    documents["n1"] = legacy(1, heading="")
    documents["n3"] = DELETED
    # The library refuses references to another database, with the whole answer that holds one.
    elsewhere = "projects/other/databases/(default)/documents/links/1"
    documents["n5"] = legacy(5, link=Value(reference_value=elsewhere))
    documents["white space"] = legacy(8)
    (page,) = FirestoreCollection(URL).pages()
    assert [node.id for node in page.nodes] == ["n0", "n2", "n4", "n6"]
    assert page.hidden == ("n3",)
    without_title, undecoded, with_bad_id = page.bad
    reason = "title: the document has none of title, heading, name"
    assert without_title == BadRow("document n1", reason)
    assert undecoded.place == "document n5"
    assert undecoded.reason.startswith("cannot be decoded: ")
    assert elsewhere in undecoded.reason
    assert with_bad_id.place == "document white space"
    assert with_bad_id.reason.startswith("id: ")
    assert page.upto == "white space"


@pytest.mark.parametrize("after", [0, 2, 3])
def test_a_page_in_which_the_service_went_away_is_read_again(
    firestore: FirestoreStandIn, after: int
) -> None:
    said: list[str] = []
    source = FirestoreCollection(URL, page_rows=3, report=said.append)
    pages = source.pages()
    next(pages)
    firestore.failures += [Failure(after), Failure(after)]
    assert [[node.id for node in page.nodes] for page in pages] == [["n3", "n4", "n5"], ["n6"]]
    assert firestore.calls["RunQuery"] == 5
    assert len(said) == 2
    assert "the stand-in is told to be away" in said[0]


def test_patience_ends_with_what_to_do(firestore: FirestoreStandIn) -> None:
    source = FirestoreCollection(URL, page_rows=3, patience_s=0.5)
    pages = source.pages()
    next(pages)
    firestore.always = Failure(after=1)
    with pytest.raises(SourceUnavailable, match=r"for 0\.5 s .* told to be away.*goes on behind"):
        next(pages)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, r"may not be read.*datastore\.viewer in legacy"),
        (grpc.StatusCode.NOT_FOUND, r"no project legacy with a Firestore database \(default\)"),
        (grpc.StatusCode.UNAUTHENTICATED, "application-default login"),
        (grpc.StatusCode.FAILED_PRECONDITION, "told to be away"),
    ],
)
def test_a_refusal_is_said_at_once_with_what_to_do(
    firestore: FirestoreStandIn, status: grpc.StatusCode, words: str
) -> None:
    firestore.always = Failure(status=status)
    with pytest.raises((SourceUnavailable, SettingsError), match=words):
        list(FirestoreCollection(URL).pages())
    assert firestore.calls["RunQuery"] == 1


def test_another_project_and_an_empty_collection_are_errors(firestore: FirestoreStandIn) -> None:
    with pytest.raises(SourceUnavailable, match="no project another"):
        list(FirestoreCollection("firestore://another/knowledge_nodes").pages())
    with pytest.raises(DataError, match="holds no documents"):
        list(FirestoreCollection("firestore://legacy/knowledge").pages())


def test_without_credentials_it_says_where_they_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FIRESTORE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")
    with pytest.raises(SettingsError, match=r"nowhere.*gcloud auth application-default login"):
        list(FirestoreCollection(URL).pages())


def test_without_googles_client_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud.firestore", None)
    with pytest.raises(SettingsError, match=r"pip install 'student-resource-hub\[gcp\]'"):
        FirestoreCollection(URL)


@pytest.mark.parametrize(
    "url",
    [
        "firestore://legacy",
        "firestore://legacy/",
        "firestore:///knowledge_nodes",
        "firestore://legacy/sites/main",
        "firestore://legacy/knowledge_nodes?databse=hub",
        "gs://legacy/knowledge_nodes",
    ],
)
def test_an_address_that_is_no_collection_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="looks like firestore://PROJECT/knowledge_nodes"):
        FirestoreCollection(url)
