"""A browser for the tests of the page, and a watch on everything that goes wrong in it.

Playwright's synchronous interface occupies its thread's event loop for as long as it runs, and the
asyncio tests need that thread too: so each module starts a browser of its own and stops it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from scripts.chromium import open_browser
from scripts.run import Hub
from tests.browser.injected import InjectedHub
from tests.browser.screen import Screen

OpenScreen = Callable[..., Screen]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium; a test that needs it fails without it."""
    with open_browser() as launched:
        yield launched


@pytest.fixture
def open_screen(browser: Browser, hub: Hub) -> Iterator[OpenScreen]:
    """Open pages, each in a context of its own; what went wrong in any of them fails the test."""
    opened: list[Screen] = []

    def open_one(*, url: str = hub.cluster.http_url, **options: Any) -> Screen:
        screen = Screen(browser.new_context(**options).new_page(), url=url)
        opened.append(screen)
        return screen

    yield open_one
    faults = [fault for screen in opened for fault in screen.faults]
    for screen in opened:
        screen.page.unroute_all(behavior="ignoreErrors")
        screen.page.context.close()
    assert not faults, faults


@pytest.fixture
def screen(open_screen: OpenScreen) -> Screen:
    """A page that is not open yet, before the real hub."""
    return open_screen()


@pytest.fixture
def injected(screen: Screen) -> InjectedHub:
    """What answers in the hub's place on `screen`."""
    return InjectedHub(screen.page)
