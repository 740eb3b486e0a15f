"""For everybody: keyboard alone, screen readers, any width, light and dark, calm, and on paper."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, expect

from graph.hints import read_hints
from tests.browser.conftest import OpenScreen
from tests.browser.injected import InjectedHub, answer, confused, rephrase
from tests.browser.screen import Screen

PHONE = {"width": 320, "height": 640}
DESKTOP = {"width": 1440, "height": 900}
WIDTHS = (320, 360, 1440, 3840)
LONG_WORD = "pneumonoultramicroscopicsilicovolcanoconiosis" * 3
CRISIS = read_hints().crisis.model_dump()

axe = Axe()


def be_idle(screen: Screen, _: InjectedHub) -> None:
    screen.page.clock.install()
    screen.open()
    expect(screen.page.locator("#examples button").first).to_be_visible()


def be_typing(screen: Screen, injected: InjectedHub) -> None:
    injected.silent = True
    be_idle(screen, injected)
    screen.ask("how do i appeal a grade")


def ask_and_skip_typing(screen: Screen, text: str, *, leads_to: str) -> None:
    screen.ask(text)
    screen.expect_state("typing")
    screen.page.clock.fast_forward(800)
    screen.expect_state(leads_to)


def be_answered(screen: Screen, injected: InjectedHub) -> None:
    long = f"https://www.alderridge.example/{LONG_WORD} {LONG_WORD}"
    last = {"id": "long", "title": LONG_WORD, "snippet": long, "url": long, "score": 0.1}
    results = [*answer()["results"], {**last, "intent": "housing"}]
    injected.answer = lambda _: answer(len(injected.asked), results=results, crisis=CRISIS)
    be_idle(screen, injected)
    ask_and_skip_typing(screen, "how do i appeal a grade", leads_to="answered")
    ask_and_skip_typing(screen, f"what is {LONG_WORD}", leads_to="answered")
    screen.earlier.locator("summary").click()
    screen.thumb_up.click()
    expect(screen.page.locator("#now .told")).to_have_text("Thank you!")


def be_confused(screen: Screen, injected: InjectedHub) -> None:
    injected.answer = lambda _: confused()
    be_idle(screen, injected)
    ask_and_skip_typing(screen, "how do i appeal a grade", leads_to="confused")


def be_rephrase(screen: Screen, injected: InjectedHub) -> None:
    injected.answer = lambda _: rephrase()
    be_idle(screen, injected)
    ask_and_skip_typing(screen, "blorp", leads_to="rephrase")


def be_offline(screen: Screen, injected: InjectedHub) -> None:
    be_answered(screen, injected)
    screen.announce_failed_requests()
    injected.away = True
    ask_and_skip_typing(screen, "where can i get a parking permit", leads_to="offline")


STATES: dict[str, Callable[[Screen, InjectedHub], None]] = {
    "idle": be_idle,
    "typing": be_typing,
    "answered": be_answered,
    "confused": be_confused,
    "rephrase": be_rephrase,
    "offline": be_offline,
}


@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing_and_no_width_scrolls_sideways(
    screen: Screen, injected: InjectedHub, state: str
) -> None:
    STATES[state](screen, injected)
    for viewport in (PHONE, DESKTOP):
        screen.page.set_viewport_size(viewport)
        for scheme in ("light", "dark"):
            screen.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            found = axe.run(screen.page)
            assert found.violations_count == 0, found.generate_report()
    for width in WIDTHS:
        screen.page.set_viewport_size({"width": width, "height": 900})
        needed = screen.page.evaluate("document.documentElement.scrollWidth")
        assert needed <= width, f"{needed} px at a width of {width}"
    assert screen.state() == state


def tab_to(screen: Screen, target: Locator, *, key: str = "Tab", most: int = 40) -> None:
    """Press Tab until the target has the focus."""
    for _ in range(most):
        screen.page.keyboard.press(key)
        if target.evaluate("(element) => element === document.activeElement"):
            return
    pytest.fail(f"{target} is not reached by {most} × {key}")


def test_the_keyboard_alone_suffices(screen: Screen, injected: InjectedHub) -> None:
    injected.answer = lambda text: answer(2) if "exams and grades" in text else confused(1)
    keyboard = screen.page.keyboard
    be_idle(screen, injected)
    tab_to(screen, screen.page.get_by_role("link", name="Skip to the question"), most=1)
    keyboard.press("Enter")
    expect(screen.box).to_be_focused()
    keyboard.type("how do i appeal it")
    keyboard.press("Shift+Enter")
    keyboard.type("my grade")
    assert injected.asked == []
    keyboard.press("Enter")
    screen.expect_state("confused")
    assert injected.asked[0]["text"] == "how do i appeal it\nmy grade"
    expect(screen.box).to_be_focused()

    tab_to(screen, screen.choices.first, most=3)
    keyboard.press("Enter")
    screen.expect_state("answered")
    expect(screen.page.locator("#now")).to_be_focused()

    tab_to(screen, screen.card_links().first, most=1)
    tab_to(screen, screen.thumb_down, most=5)
    keyboard.press("Space")
    tab_to(screen, screen.thumb_up, key="Shift+Tab", most=1)
    keyboard.press("Enter")
    expect(screen.thumb_up).to_have_attribute("aria-pressed", "true")
    expect(screen.thumb_up).to_be_focused()
    expect(screen.page.locator("#now .told")).to_have_text("Thank you!")
    screen.wait_for(lambda: [thumb["score"] for thumb in injected.thumbs] == [-1, 1])

    tab_to(screen, screen.earlier.locator("summary"), most=4)
    keyboard.press("Enter")
    expect(screen.earlier.locator(".cards > li").first).to_be_visible()
    tab_to(screen, screen.box, key="Shift+Tab", most=12)


def test_what_has_the_focus_is_seen(screen: Screen, injected: InjectedHub) -> None:
    be_answered(screen, injected)
    for target in (screen.box, screen.card_links().first, screen.thumb_up):
        tab_to(screen, target)
        style = target.evaluate("(element) => getComputedStyle(element).outlineStyle")
        assert style == "solid"


def test_every_state_is_said_to_a_screen_reader(screen: Screen, injected: InjectedHub) -> None:
    screen.open()
    expect(screen.said).to_have_text("Ready.")
    assert screen.said.get_attribute("role") == "status"
    for reply, words in (
        (answer(1), "3 results."),
        (confused(2), "I'm not sure, but here is what I found... 3 results."),
        (rephrase(3, results=[]), "Could you rephrase that? Nothing found."),
    ):
        injected.answer = lambda _, reply=reply: reply
        screen.ask("how do i appeal a grade")
        expect(screen.said).to_have_text("Typing…")
        expect(screen.said).to_have_text(words)
    screen.announce_failed_requests()
    injected.away = True
    screen.ask("where can i get a parking permit")
    expect(screen.said).to_have_text("The hub cannot be reached. Essential contacts are shown.")


@pytest.mark.parametrize(("motion", "moving"), [("no-preference", 3), ("reduce", 0)])
def test_who_wants_less_motion_sees_none(open_screen: OpenScreen, motion: str, moving: int) -> None:
    screen = open_screen(reduced_motion=motion)
    be_typing(screen, InjectedHub(screen.page))
    screen.expect_state("typing")
    assert screen.page.evaluate("document.getAnimations().length") == moving


def test_paper_shows_the_answer_and_where_it_leads_but_no_form(
    screen: Screen, injected: InjectedHub
) -> None:
    be_answered(screen, injected)
    screen.page.emulate_media(media="print")
    expect(screen.cards.first).to_be_visible()
    expect(screen.crisis.first).to_be_visible()
    for hidden in (screen.box, screen.thumb_up, screen.page.locator("#earlier")):
        expect(hidden).to_be_hidden()
    printed = "(link) => getComputedStyle(link, '::after').content"
    assert "registrar/appeals/1" in screen.card_links().first.evaluate(printed)
