"""The page before the real graph: what a student asks, reads, presses and comes back to."""

import re
import time
import uuid

import httpx
import psycopg
import pytest
from playwright.sync_api import Request, expect

from contracts.outcome import MESSAGES
from graph.hints import read_hints
from scripts.run import Hub
from tests.browser.screen import Screen
from tests.live_hub import client_of

GRADE = "how do i appeal a grade"
PARKING = "where can i get a parking permit"
HARD_TO_TELL = [
    "deadline",
    "blorp",
    "form",
    "card",
    "appointment",
    "office",
    "application",
    "thing",
]
"""Queries of which the classifier can hardly say what they are about."""


def one_with_outcome(hub: Hub, outcome: str) -> str:
    with client_of(hub) as client:
        for text in HARD_TO_TELL:
            if client.post("/v1/query", json={"text": text}).json()["outcome"] == outcome:
                return text
    pytest.fail(f"None of {HARD_TO_TELL} leads to {outcome!r} any more: add a query that does.")


def feedback_score(hub: Hub, interaction_id: str) -> int | None:
    with psycopg.connect(hub.settings.database_url) as connection:
        row = connection.execute(
            "SELECT feedback_score FROM interaction_log WHERE interaction_id = %s",
            (interaction_id,),
        ).fetchone()
    return row[0] if row else None


def wait_for_score(hub: Hub, interaction_id: str, score: int, *, within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while feedback_score(hub, interaction_id) != score:
        assert time.monotonic() < deadline, f"no feedback_score {score} within {within_s} s"
        time.sleep(0.05)


def test_a_question_is_answered_with_cards_and_marked_words(screen: Screen) -> None:
    screen.open()
    screen.ask(GRADE)
    screen.expect_state("answered")
    expect(screen.cards).to_have_count(5)
    first = screen.cards.first.get_by_role("link")
    expect(first).to_have_attribute("href", re.compile("^https://www.alderridge.example/"))
    assert first.inner_text()
    marked = {text.lower() for text in screen.marks.all_inner_texts()}
    assert marked & {"appeal", "appeals", "grade", "grades", "graded"}
    assert not marked & {"how", "do", "a", "i"}
    expect(screen.message).to_have_count(0)
    expect(screen.page.locator("#now .understood")).to_contain_text(
        re.compile(r"I took this as a question about .* \(\d+\s% sure\)")
    )


def test_a_question_out_of_scope_shows_the_hubs_own_message_above_results(screen: Screen) -> None:
    screen.open()
    screen.ask("what's the best pizza topping")
    screen.expect_state("confused")
    expect(screen.message).to_have_text(MESSAGES["confused"])
    expect(screen.page.get_by_role("heading", name="Did you mean")).to_be_visible()
    below_message = screen.message.bounding_box()
    first_card = screen.cards.first.bounding_box()
    assert below_message["y"] < first_card["y"]


def test_did_you_mean_asks_again_with_one_tap(screen: Screen) -> None:
    screen.open()
    screen.ask("what's the best pizza topping")
    screen.expect_state("confused")
    choice = screen.choices.first.inner_text()
    screen.choices.first.click()
    screen.expect_state("typing")
    expect(screen.page.locator("#now .asked")).to_have_text(
        f"what's the best pizza topping, about {choice.lower()}"
    )
    expect(screen.cards.first).to_be_visible()


def test_a_question_that_nobody_can_tell_is_asked_for_in_other_words(
    hub: Hub, screen: Screen
) -> None:
    text = one_with_outcome(hub, "rephrase")
    screen.open()
    screen.ask(text)
    screen.expect_state("rephrase")
    expect(screen.message).to_have_text("Could you rephrase that?")
    for example in read_hints().examples:
        expect(screen.page.locator("#now").get_by_role("button", name=example)).to_be_visible()


def test_a_crisis_shows_whom_to_call_above_everything(screen: Screen) -> None:
    card = read_hints().crisis
    screen.open()
    screen.ask("i want to kill myself")
    expect(screen.crisis).to_contain_text(card.title)
    expect(screen.crisis.get_by_role("link", name=card.phone)).to_have_attribute(
        "href", f"tel:{card.phone.replace('-', '')}"
    )
    top = screen.crisis.bounding_box()["y"]
    for below in (screen.page.locator("#now .asked"), screen.cards.first):
        assert top < below.bounding_box()["y"]
    expect(screen.said).to_contain_text(card.title)


def test_a_thumb_reaches_the_log_and_can_be_changed(hub: Hub, screen: Screen) -> None:
    screen.open()
    with screen.page.expect_response(re.compile("/v1/query")) as answered:
        screen.ask(GRADE)
    interaction_id = answered.value.json()["interaction_id"]
    screen.thumb_up.click()
    expect(screen.thumb_up).to_have_attribute("aria-pressed", "true")
    expect(screen.page.locator("#now .told")).to_have_text("Thank you!")
    wait_for_score(hub, interaction_id, 1)
    screen.thumb_down.click()
    expect(screen.thumb_up).to_have_attribute("aria-pressed", "false")
    expect(screen.thumb_down).to_have_attribute("aria-pressed", "true")
    wait_for_score(hub, interaction_id, -1)


def test_a_shared_link_asks_and_back_returns_without_asking_again(screen: Screen) -> None:
    asked: list[str] = []
    screen.page.on("request", lambda request: note_question(request, asked))
    screen.open("#q=how+do+i+appeal+a+grade")
    screen.expect_state("answered")
    expect(screen.box).to_have_value(GRADE)
    first_title = screen.cards.first.get_by_role("link").inner_text()
    screen.ask(PARKING)
    expect(screen.page.locator("#now .asked")).to_have_text(PARKING)
    screen.expect_state("answered")
    screen.page.go_back()
    expect(screen.page.locator("#now .asked")).to_have_text(GRADE)
    expect(screen.cards.first.get_by_role("link")).to_have_text(first_title)
    expect(screen.box).to_have_value(GRADE)
    screen.page.go_forward()
    expect(screen.page.locator("#now .asked")).to_have_text(PARKING)
    assert asked == [GRADE, PARKING]


def test_back_from_the_first_answer_leads_to_the_start(screen: Screen) -> None:
    asked: list[str] = []
    screen.page.on("request", lambda request: note_question(request, asked))
    screen.open()
    screen.ask(GRADE)
    screen.expect_state("answered")
    screen.page.go_back()
    screen.expect_state("idle")
    expect(screen.box).to_have_value("")
    expect(screen.earlier.locator("summary")).to_have_text([GRADE])
    screen.page.go_forward()
    screen.expect_state("answered")
    assert asked == [GRADE]


def note_question(request: Request, asked: list[str]) -> None:
    if request.url.endswith("/v1/query"):
        asked.append(request.post_data_json["text"])


def test_earlier_answers_are_read_again_also_after_a_reload(screen: Screen) -> None:
    screen.open()
    for text in (GRADE, PARKING):
        screen.ask(text)
        expect(screen.page.locator("#now .asked")).to_have_text(text)
        screen.expect_state("answered")
    expect(screen.earlier).to_have_count(1)
    screen.page.reload()
    expect(screen.earlier.locator("summary")).to_have_text([GRADE])
    earlier = screen.earlier.first
    earlier.locator("summary").click()
    expect(earlier.locator(".cards > li")).to_have_count(5)
    screen.page.get_by_role("button", name="Clear").click()
    expect(screen.earlier).to_have_count(0)


def test_a_question_is_never_in_an_address_that_the_server_sees(hub: Hub, screen: Screen) -> None:
    seen: list[str] = []
    screen.page.on("request", lambda request: seen.append(request.url))
    word = f"zebra{uuid.uuid4().hex[:8]}"
    screen.open(f"#q=where+is+the+{word}")
    expect(screen.cards.first).to_be_visible()
    assert word in screen.page.url
    sent = [url.split("#")[0] for url in seen]  # no browser sends what follows the #
    assert len(sent) > 5
    assert not [url for url in sent if word in url]
    assert {httpx.URL(url).netloc for url in sent} == {httpx.URL(hub.cluster.http_url).netloc}
