"""The cases of contracts/cases, as any frontend runs them, against this page."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Route, expect

import contracts
from contracts.messages import Hints
from tests.browser.injected import InjectedHub
from tests.browser.screen import Screen

FOLDER = Path(contracts.__file__).with_name("cases")
HINTS = json.loads((FOLDER / "hints.json").read_text(encoding="utf-8"))
CASES = [
    case
    for file in sorted(FOLDER.glob("*.json"))
    if file.name != "hints.json"
    for case in json.loads(file.read_text(encoding="utf-8"))
]
THEN = {
    *("state", "shows", "hides", "crisis_on_top", "choices", "links", "no_links", "says_partial"),
    *("retry_after_s", "typing_at_least_ms", "typing_at_most_ms", "fits_width", "right_to_left"),
}
"""All that a case can say: one that says more is not understood here."""


def respond(route: Route, given: dict[str, Any]) -> None:
    if given.get("unreachable"):
        route.abort("connectionrefused")
        return
    body = given["raw"] if "raw" in given else json.dumps(given["body"])
    route.fulfill(status=given["status"], headers=given["headers"], body=body)


def play(screen: Screen, injected: InjectedHub, case: dict[str, Any]) -> None:
    """Ask, answer as given, and watch how long "Typing…" is shown."""
    given, then = case["given"], case["then"]
    delay_ms, at_least_ms = given.get("delay_ms", 0), then["typing_at_least_ms"]
    waiting: list[Route] = []
    injected.reply = lambda route, _: waiting.append(route)
    screen.open_with_stopped_clock()
    screen.ask(given["text"])
    screen.wait_for(lambda: waiting)
    now_ms = 0
    for moment_ms, event in sorted([(delay_ms, "response"), (at_least_ms - 1, "still typing")]):
        screen.page.clock.run_for(moment_ms - now_ms)
        now_ms = moment_ms
        if event == "response":
            respond(waiting[0], given)
        else:
            assert screen.state() == "typing", f"after {now_ms} ms"
    screen.page.clock.run_for(max(at_least_ms - now_ms, 0))
    screen.expect_state(then["state"])


def text_of(screen: Screen) -> str:
    """All that can be read of what came of the question."""
    parts = [screen.page.locator(f"#{name}") for name in ("refused", "offline", "now")]
    return " ".join(" ".join(part.inner_text().split()) for part in parts if part.is_visible())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_page_shows(screen: Screen, injected: InjectedHub, case: dict[str, Any]) -> None:
    then = case["then"]
    assert set(then) <= THEN
    if case["given"].get("status") != 200:
        screen.announce_failed_requests()
    if then["state"] == "offline":
        screen.announce_failed_requests()  # the hub is looked for meanwhile, in vain
    injected.hints = HINTS
    injected.ready = False
    play(screen, injected, case)

    now = screen.page.locator("#now")
    read = text_of(screen)
    for text in then["shows"]:
        assert " ".join(text.split()) in read
    for text in then["hides"]:
        assert text not in read
    for contact in HINTS["contacts"] if then["state"] == "offline" else []:
        assert contact["name"] in read
    choices = now.locator(".mean").get_by_role("button").all_inner_texts()
    assert choices == then["choices"]
    addresses = [link.get_attribute("href") for link in now.get_by_role("link").all()]
    links = [address for address in addresses if not address.startswith("tel:")]
    if "links" in then:
        assert sorted(links) == sorted(then["links"])
    assert not set(links) & set(then.get("no_links", []))
    if then.get("crisis_on_top"):
        top = now.locator(".crisis").bounding_box()["y"]
        assert top < now.locator(".asked").bounding_box()["y"]
    elif then["state"] != "offline":
        expect(now.locator(".crisis")).to_have_count(0)
    if then.get("says_partial"):
        assert "away" in read or "can't be looked up" in read
    if "retry_after_s" in then:
        assert f"Try again in {then['retry_after_s']} s." in read
    for text in then.get("right_to_left", []):
        direction = now.get_by_text(text).evaluate("(e) => getComputedStyle(e).direction")
        assert direction == "rtl", text
    if then.get("fits_width"):
        screen.page.set_viewport_size({"width": 320, "height": 640})
        assert screen.page.evaluate("document.documentElement.scrollWidth") <= 320
    assert screen.page.evaluate("window.ran ?? null") is None


def test_the_hints_of_the_cases_are_of_the_contract() -> None:
    Hints.model_validate(HINTS)
