"""The page as a student meets it: where things are, and what went wrong meanwhile."""

import re
import time
from collections.abc import Callable

from playwright.sync_api import ConsoleMessage, Locator, Page, expect

PATIENCE_MS = 15_000
"""How long a test waits for what the real hub has to do first, on a busy machine."""

MIDNIGHT_S = 1_800_000_000
"""Where the clock begins that a test controls."""

REPORT_VIOLATIONS = """addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy violation: ${event.violatedDirective} ${event.blockedURI}`));"""

expect.set_options(timeout=PATIENCE_MS)


class Screen:
    """One page, with the names that the tests use for its parts."""

    def __init__(self, page: Page, *, url: str) -> None:
        self.page = page
        self.url = url
        self.faults: list[str] = []
        self._announced: list[re.Pattern[str]] = []
        self.body = page.locator("body")
        self.box = page.get_by_label("Your question")
        self.message = page.locator("#now .message")
        self.crisis = page.locator("main .crisis")
        self.cards = page.locator("#now .cards > li")
        self.marks = page.locator("#now mark")
        self.choices = page.locator("#now .choice")
        self.banner = page.locator("#offline .banner")
        self.said = page.locator("#said")
        self.refused = page.locator("#refused")
        self.earlier = page.locator("#history details")
        self.thumb_up = page.locator("#now").get_by_label("Yes, this helped")
        self.thumb_down = page.locator("#now").get_by_label("No, this did not help")
        page.set_default_timeout(PATIENCE_MS)
        page.add_init_script(REPORT_VIOLATIONS)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self._fault(f"uncaught: {error}"))

    def announce(self, pattern: str) -> None:
        """Say that errors which the pattern finds are what this test is about."""
        self._announced.append(re.compile(pattern))

    def announce_failed_requests(self) -> None:
        """Say that requests will fail: Chromium itself reports each in the console."""
        self.announce("^Failed to load resource")

    def open(self, fragment: str = "") -> None:
        """Open the page and wait until it works."""
        self.page.goto(f"{self.url}/{fragment}")
        expect(self.body).to_have_attribute("data-state", re.compile("."))

    def open_with_stopped_clock(self) -> None:
        """Open the page; from then on its time goes on only by `page.clock.run_for`."""
        self.page.clock.install(time=MIDNIGHT_S)
        self.open()
        self.page.clock.pause_at(MIDNIGHT_S + 60)

    def ask(self, text: str) -> None:
        self.box.fill(text)
        self.box.press("Enter")

    def expect_state(self, name: str) -> None:
        expect(self.body).to_have_attribute("data-state", name)

    def state(self) -> str | None:
        return self.body.get_attribute("data-state")

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait for something that is not on the page; the browser goes on meanwhile."""
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not condition():
            assert time.monotonic() < deadline, f"not within {PATIENCE_MS} ms"
            self.page.wait_for_timeout(5)

    def card_links(self) -> Locator:
        return self.cards.get_by_role("link")

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._fault(f"{message.text} ({message.location.get('url', '')})")

    def _fault(self, text: str) -> None:
        if not any(pattern.search(text) for pattern in self._announced):
            self.faults.append(text)
