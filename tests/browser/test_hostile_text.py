"""Whatever a student types or an answer carries is text: nothing runs, nothing becomes a link."""

import json
import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Error, Route, expect

from tests.browser.injected import InjectedHub, answer, confused, problem
from tests.browser.screen import Screen

HOSTILE = "<img src=x onerror=\"window.ran='onerror'\"><script>window.ran='script'</script>"
QUESTIONS = [
    HOSTILE,
    '"><svg onload="window.ran=\'svg\'">',
    "javascript:window.ran='address'",
    "{{constructor.constructor('window.ran=1')()}}",
]
ADDRESSES = [
    "javascript:window.ran='address'",
    " JaVaScRiPt:window.ran='address'",
    "java\nscript:window.ran='address'",
    "data:text/html,<script>window.ran='data'</script>",
    "vbscript:window.ran",
    "file:///etc/passwd",
    "https://[damaged",
]
OF_MARKUP = "img, script, iframe, svg, style, object, embed, base, link, meta"


def assert_nothing_ran(screen: Screen) -> None:
    assert screen.page.evaluate("window.ran ?? null") is None
    expect(screen.page.locator("main").locator(OF_MARKUP)).to_have_count(0)
    handlers = "[...document.querySelectorAll('*')].flatMap((e) => e.getAttributeNames())"
    assert not [name for name in screen.page.evaluate(handlers) if name.startswith("on")]
    for link in screen.page.locator("main a").all():
        assert re.match(r"https?://|tel:[\d+]*$", link.get_attribute("href"))


@pytest.mark.parametrize("text", QUESTIONS, ids=["markup", "attribute", "address", "template"])
def test_a_hostile_question_is_shown_as_it_was_typed(screen: Screen, text: str) -> None:
    screen.open()
    screen.ask(text)
    asked = screen.page.locator("#now .asked")
    expect(asked).to_have_text(text)
    expect(screen.cards.first).to_be_visible()
    screen.ask("where can i get a parking permit")
    expect(screen.earlier.locator("summary")).to_have_text([text])
    assert_nothing_ran(screen)


def test_a_hostile_link_is_only_a_question(screen: Screen) -> None:
    screen.open(f"#q={quote(HOSTILE)}")
    expect(screen.page.locator("#now .asked")).to_have_text(HOSTILE)
    expect(screen.cards.first).to_be_visible()
    assert_nothing_ran(screen)


def test_every_field_of_an_answer_is_text(screen: Screen, injected: InjectedHub) -> None:
    crisis = dict.fromkeys(("title", "text", "phone"), HOSTILE) | {"url": ADDRESSES[0]}
    result = dict.fromkeys(("id", "title", "snippet", "intent"), HOSTILE)
    injected.hints = {
        "crisis": crisis,
        "contacts": [dict.fromkeys(("name", "text", "phone"), HOSTILE)],
        "examples": [HOSTILE],
        "intents": {HOSTILE: HOSTILE, "exams_and_grades": HOSTILE},
    }
    hostile = confused(
        interaction_id=HOSTILE,
        message=HOSTILE,
        crisis=crisis,
        intent=HOSTILE,
        alternatives=[
            {"intent": name, "confidence": 0.5} for name in (HOSTILE, "__proto__", "constructor")
        ],
        results=[{**result, "url": address, "score": 0.5} for address in ADDRESSES],
        degraded=[HOSTILE],
        model_version=HOSTILE,
    )
    injected.answer = lambda _: hostile
    screen.open()
    screen.ask("how do i appeal a grade")
    screen.expect_state("confused")
    expect(screen.message).to_have_text(HOSTILE)
    expect(screen.cards).to_have_count(len(ADDRESSES))
    expect(screen.cards.first).to_contain_text(HOSTILE)
    expect(screen.card_links()).to_have_count(0)
    expect(screen.crisis).to_contain_text(HOSTILE)
    expect(screen.choices).to_have_count(3)
    screen.thumb_up.click()
    expect(screen.thumb_up).to_have_attribute("aria-pressed", "true")
    assert_nothing_ran(screen)
    screen.announce_failed_requests()
    injected.away = True
    screen.ask("anybody there")
    screen.expect_state("offline")
    expect(screen.page.locator("#offline")).to_contain_text(HOSTILE)
    assert_nothing_ran(screen)


def test_a_hostile_refusal_is_text(screen: Screen, injected: InjectedHub) -> None:
    screen.announce_failed_requests()
    injected.reply = lambda route, _: problem(route, 422, HOSTILE)
    screen.open()
    screen.ask("how do i appeal a grade")
    expect(screen.refused).to_contain_text(HOSTILE)
    assert_nothing_ran(screen)


def test_a_hostile_history_is_text(screen: Screen, injected: InjectedHub) -> None:
    kept = [{"question": HOSTILE, "score": None, "answer": answer(intent=HOSTILE)}]
    screen.page.add_init_script(
        f"sessionStorage.setItem('hub-answers', {json.dumps(json.dumps(kept))})"
    )
    screen.open()
    expect(screen.earlier.locator("summary")).to_have_text([HOSTILE])
    screen.earlier.locator("summary").click()
    expect(screen.earlier.locator(".cards > li")).to_have_count(3)
    assert_nothing_ran(screen)


def test_the_policy_stops_markup_that_somebody_put_into_the_page(screen: Screen) -> None:
    screen.announce("policy|Refused|violat|TrustedHTML")

    def spoil(route: Route) -> None:
        served = route.fetch()
        assert "script-src 'self'" in served.headers["content-security-policy"]
        evil = (
            "<script>window.ran='inline'</script><img src=/none onerror=\"window.ran='onerror'\">"
        )
        route.fulfill(response=served, body=served.text().replace("</body>", f"{evil}</body>"))

    screen.page.route(f"{screen.url}/", spoil)
    screen.announce_failed_requests()  # the image
    with screen.page.expect_console_message(lambda message: "script-src" in message.text):
        screen.open()
    screen.expect_state("idle")
    assert screen.page.evaluate("window.ran ?? null") is None
    becomes_markup = "() => { document.body.innerHTML = '<b>markup</b>'; }"
    with pytest.raises(Error, match="TrustedHTML"):
        screen.page.evaluate(becomes_markup)
    expect(screen.box).to_be_visible()
