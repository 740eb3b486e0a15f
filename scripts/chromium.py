"""The system's Chromium, driven by Playwright. Nothing is downloaded. For tests and screenshots."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Browser, sync_playwright

from contracts.errors import HubError

ARGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class NoChromium(HubError):
    """There is no `chromium` on the PATH: `make browser` installs it where it may, else install
    your system's package of that name."""


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start a browser, and stop it with everything that it started. Raises NoChromium.

    Meanwhile this thread's asyncio belongs to Playwright: no other event loop can run in it.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        raise NoChromium
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGS)
        try:
            yield browser
        finally:
            browser.close()
