"""The annotation view in a real browser: by keyboard, quickly, and with nothing from elsewhere."""

import base64
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, expect

from contracts.settings import Settings
from scripts.annotate import serving
from scripts.picture_annotation import LOOK_S, SIZE, AnnotationScreen, label_some
from scripts.ports import free_ports
from store.database import Connection, connect
from store.labels import read_labels, read_verified
from store.reviewers import add_reviewer
from store.running import running_database
from tests.review_samples import add_item
from tests.tiny_encoder import make_tiny_encoder

PASSWORD = "correct horse battery"
ITEMS = 40


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    """A home of the module's own, with an encoder: filling the queue needs one."""
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="hub-annotation-") as home:
        make_tiny_encoder(Path(home) / "encoder", texts=["where do i see my grade"])
        yield Settings(home=Path(home), annotation_port=port)


@pytest.fixture(scope="module")
def view_url(settings: Settings) -> Iterator[str]:
    """The address of a view with two reviewers and many queries."""
    with running_database(settings) as url, connect(url, vectors=False) as connection:
        for name in ("ana", "ben"):
            add_reviewer(connection, name=name, role="reviewer", password=PASSWORD)
        for number in range(ITEMS):
            add_item(connection, f"{number:02}", members=1 + number % 3, priority=-number)
        with serving(settings.model_copy(update={"database_url": url}), database_url=url) as view:
            yield view.url


@pytest.fixture
def connection(view_url: str, settings: Settings) -> Iterator[Connection]:
    with (
        running_database(settings) as url,
        connect(url, vectors=False) as opened,
    ):
        yield opened
        opened.execute("DELETE FROM labels")
        opened.execute("UPDATE review_items SET leased_by = NULL, leased_until = NULL")


@pytest.fixture
def screen(browser: Browser, view_url: str, connection: Connection) -> Iterator[AnnotationScreen]:
    """A page that watches what is fetched: nothing comes from elsewhere."""
    context = browser.new_context(viewport=SIZE)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    yield AnnotationScreen(page, url=view_url)
    context.close()
    own = urlsplit(view_url).netloc
    elsewhere = [url for url in asked if urlsplit(url).netloc not in (own, "")]
    assert elsewhere == []


def labels_of(connection: Connection) -> dict[str, str]:
    return {label.item_id: label.intent for label in read_labels(connection)}


def test_everything_goes_by_keyboard(screen: AnnotationScreen, connection: Connection) -> None:
    screen.sign_in("ana", PASSWORD)
    assert screen.query == "where do i see my grade 00"
    label_some(screen, keys="123ou")
    assert labels_of(connection) == {
        "00": "exams_and_grades",
        "01": "transcripts_and_records",
        "02": "housing",
        "03": "out_of_scope",
        "04": "unclear",
    }
    time.sleep(LOOK_S)
    screen.press("z")
    assert screen.query == "where do i see my grade 04"
    assert "04" not in labels_of(connection)


def test_any_intent_is_found_by_typing_and_keys_work_again_afterwards(
    screen: AnnotationScreen, connection: Connection
) -> None:
    screen.sign_in("ana", PASSWORD)
    before = screen.query
    time.sleep(LOOK_S)
    screen.page.keyboard.press("/")
    expect(screen.page.get_by_role("combobox", name="Another intent")).to_be_focused()
    # Keys of the buttons, typed here, are letters: o, u, z and digits too.
    screen.page.keyboard.type("parkou1z")
    assert labels_of(connection) == {}
    for _ in "ou1z":
        screen.page.keyboard.press("Backspace")
    screen.page.keyboard.press("Enter")
    screen.wait_for_another(before)
    assert labels_of(connection) == {"00": "parking_and_transport"}
    label_some(screen, keys="1")
    assert labels_of(connection)["01"] == "exams_and_grades"


def test_a_key_brings_the_next_query_in_time_for_twenty_a_minute(
    screen: AnnotationScreen, connection: Connection
) -> None:
    screen.sign_in("ana", PASSWORD)
    began = time.perf_counter()
    took_s = label_some(screen, keys="1" * 20)
    minutes = (time.perf_counter() - began) / 60
    assert len(labels_of(connection)) == 20
    median_s = statistics.median(took_s)
    print(f"key to next query: median {median_s:.3f} s, worst {max(took_s):.3f} s")
    assert median_s < 1.0, "three seconds a query, two of them to read it"
    assert minutes < 1
    pace = screen.page.get_by_test_id("stMetric").first
    expect(pace).to_contain_text("Items a minute")
    expect(pace).not_to_contain_text("–")


def test_two_people_in_two_browsers_verify_and_never_hold_the_same_query(
    screen: AnnotationScreen, connection: Connection, browser: Browser
) -> None:
    other = browser.new_context(viewport=SIZE)
    ben = AnnotationScreen(other.new_page(), url=screen.url)
    screen.sign_in("ana", PASSWORD)
    ben.sign_in("ben", PASSWORD)
    assert screen.query != ben.query
    label_some(screen, keys="1")
    assert read_verified(connection) == []
    # What is on screen and what was fetched ahead come first, then what waits for a second label.
    label_some(ben, keys="111")
    other.close()
    (verified,) = read_verified(connection)
    assert (verified.item_id, verified.intent) == ("00", "exams_and_grades")


def test_a_held_key_labels_one_query(screen: AnnotationScreen, connection: Connection) -> None:
    screen.sign_in("ana", PASSWORD)
    assert screen.query
    time.sleep(LOOK_S)
    for _ in range(40):
        screen.page.keyboard.down("1")  # the second and later ones are repeats
        time.sleep(0.03)
    screen.page.keyboard.up("1")
    time.sleep(1)
    assert len(labels_of(connection)) == 1


def test_a_page_of_another_origin_or_name_is_refused_at_once(view_url: str) -> None:
    host = urlsplit(view_url).netloc
    for headers, expected in (
        ({"Origin": view_url}, 101),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://evil.example", "Host": "evil.example"}, 403),
    ):
        handshake = {
            "Host": host,
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            **headers,
        }
        with httpx.stream("GET", f"{view_url}/_stcore/stream", headers=handshake) as response:
            assert response.status_code == expected, headers


def test_sign_in_by_keyboard_refuses_a_wrong_password(
    screen: AnnotationScreen, connection: Connection
) -> None:
    screen.page.goto(screen.url)
    screen.page.get_by_label("Name").fill("ana")
    screen.page.get_by_label("Password", exact=True).fill("a wrong password")
    screen.page.keyboard.press("Enter")
    expect(screen.page.get_by_text("do not belong together")).to_be_visible()
    expect(screen.page.get_by_text("where do i see my grade")).to_have_count(0)
    connection.execute("DELETE FROM sign_in_failures")
