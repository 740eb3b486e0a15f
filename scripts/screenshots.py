"""Pictures of the page for the README, and how heavy and how quick it is, from a hub that runs."""

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import Browser, Page, Response, expect
from rich.console import Console

from contracts.errors import HubError
from contracts.settings import Settings
from scripts.chromium import open_browser

PICTURES: Final = Path(__file__).resolve().parent.parent / "docs" / "images"
DESKTOP: Final[dict[str, Any]] = {"viewport": {"width": 1100, "height": 1032}}
PHONE: Final[dict[str, Any]] = {
    "viewport": {"width": 360, "height": 740},
    "device_scale_factor": 1.5,
}
SMALL: Final[dict[str, Any]] = {"viewport": {"width": 760, "height": 700}}
RUNS: Final = 5

WHEN_INTERACTIVE: Final = """window.interactiveMs = new Promise((resolve) => {
  const look = () => {
    const isUsable = document.body?.dataset.state === "idle"
      && document.querySelector("#start:not([hidden]) button");
    if (isUsable) resolve(performance.now());
    else requestAnimationFrame(look);
  };
  look();
})"""

console = Console(highlight=False)


def open_page(browser: Browser, url: str, **options: Any) -> Page:
    """Open the page as a new visitor and wait until its hints are shown."""
    page = browser.new_context(**options).new_page()
    page.goto(url)
    expect(page.locator("#examples button").first).to_be_visible()
    return page


def ask(page: Page, text: str, *, leads_to: str) -> None:
    """Ask a question and wait for the state that it leads to."""
    page.get_by_label("Your question").fill(text)
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("body")).to_have_attribute("data-state", leads_to, timeout=15_000)


def take(page: Page, name: str, *, folder: Path) -> None:
    """Save what can be seen now, and close the visit."""
    page.get_by_label("Your question").blur()
    page.evaluate("scrollTo(0, 0)")
    page.mouse.move(0, 0)
    file = folder / f"{name}.png"
    page.screenshot(path=file)
    console.print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")
    page.context.close()


def take_all(browser: Browser, url: str, *, folder: Path) -> None:
    """Take each picture; every answer is the running hub's own."""
    page = open_page(browser, url, **DESKTOP)
    ask(page, "how do i appeal a grade", leads_to="answered")
    page.get_by_label("Yes, this helped").click()
    expect(page.locator("#now .told")).to_have_text("Thank you!")
    take(page, "desktop", folder=folder)

    page = open_page(browser, url, **PHONE)
    ask(page, "where can i get a flu shot", leads_to="answered")
    take(page, "phone", folder=folder)

    page = open_page(browser, url, **SMALL)
    ask(page, "office hours", leads_to="confused")
    take(page, "confused", folder=folder)

    page = open_page(browser, url, **SMALL)
    ask(page, "deadline", leads_to="rephrase")
    take(page, "rephrase", folder=folder)

    page = open_page(browser, url, **SMALL)
    page.context.set_offline(True)
    ask(page, "when does the library close", leads_to="offline")
    take(page, "offline", folder=folder)

    page = open_page(browser, url, **SMALL, color_scheme="dark")
    ask(page, "how do i book a study room", leads_to="answered")
    take(page, "dark", folder=folder)


def weigh(browser: Browser, url: str) -> dict[str, int]:
    """Return the uncompressed bytes of each file of the page, its icon included, API apart."""
    page = browser.new_context().new_page()
    responses: dict[str, Response] = {}

    def note(response: Response) -> None:
        responses.setdefault(response.url, response)

    page.on("response", note)
    page.goto(url)
    ask(page, "how do i appeal a grade", leads_to="answered")  # the thumbs' picture comes with it
    page.wait_for_load_state("networkidle")
    files = {urlsplit(one.url).path: len(one.body()) for one in responses.values()}
    icon = page.locator("link[rel=icon]").get_attribute("href") or ""
    files[icon] = len(page.request.get(urljoin(url, icon)).body())  # it escapes the page's events
    page.context.close()
    return {path: size for path, size in files.items() if not path.startswith("/v1/")}


def time_to_interactive_ms(browser: Browser, url: str) -> float:
    """Return how long after the start of the navigation the box is usable and the hints are shown.

    Of a new visitor, without a cache; looked at in each frame of the browser (17 ms).
    """
    page = browser.new_context().new_page()
    page.add_init_script(WHEN_INTERACTIVE)
    page.goto(url)
    took_ms: float = page.evaluate("window.interactiveMs")
    page.context.close()
    return took_ms


def main(given: Sequence[str] | None = None) -> int:
    """Take the pictures and print the measures. Exit status 1 with one sentence without a hub."""
    parser = argparse.ArgumentParser(description="Pictures and measures of the page.")
    parser.add_argument("--url", help="of a hub that runs; the one on HUB_HTTP_PORT unless given")
    parser.add_argument("--folder", type=Path, default=PICTURES, help="where the pictures go")
    arguments = parser.parse_args(given)
    url = f"{arguments.url or f'http://127.0.0.1:{Settings().http_port}'}/"
    try:
        with open_browser() as browser:
            take_all(browser, url, folder=arguments.folder)
            files = weigh(browser, url)
            times = [time_to_interactive_ms(browser, url) for _ in range(RUNS)]
    except HubError as error:
        console.print(f"[red]{error}[/]")
        return 1
    for path, size in sorted(files.items()):
        console.print(f"  [dim]{size:6d}  {path}[/]")
    console.print(f"page weight, uncompressed: {sum(files.values()) / 1000:.1f} kB")
    shown = ", ".join(f"{one:.0f}" for one in times)
    console.print(f"time to interactive, median: {statistics.median(times):.0f} ms ({shown})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
