"""A picture of the annotation view for the README, from a view that runs and has queries.

`python -m scripts.picture_annotation NAME ...`: each named reviewer labels some queries (passwords
are the lines of standard input, in this order), then what the last one sees is saved.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, ViewportSize, expect
from rich.console import Console

from contracts.errors import HubError
from contracts.settings import Settings
from scripts.chromium import open_browser

PICTURE: Final = Path(__file__).resolve().parent.parent / "docs" / "images" / "annotation.png"
SIZE: Final[ViewportSize] = {"width": 1240, "height": 760}
PATIENCE_MS: Final = 30_000
LOOK_S: Final = 0.5
"""What a person looks at a query at least; sooner the view takes no key."""

console = Console(highlight=False)


class AnnotationScreen:
    """The view in one browser page, with names for what is on it."""

    def __init__(self, page: Page, *, url: str) -> None:
        self.page = page
        self.url = url
        page.set_default_timeout(PATIENCE_MS)

    def sign_in(self, name: str, password: str) -> None:
        """Sign in by keyboard and wait for what comes then."""
        self.page.goto(self.url)
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password", exact=True).fill(password)
        self.page.keyboard.press("Enter")
        expect(self.page.get_by_text("Signed in as")).to_be_visible(timeout=PATIENCE_MS)

    @property
    def query(self) -> str:
        """The query on screen; waits until there is one."""
        return self.page.locator("[data-testid=stHtml] p").inner_text()

    def press(self, key: str) -> float:
        """Press a key, wait for another query to be on screen, and return the seconds it took."""
        before = self.query
        pressed_at = time.perf_counter()
        self.page.keyboard.press(key)
        self.wait_for_another(before)
        return time.perf_counter() - pressed_at

    def wait_for_another(self, before: str) -> None:
        """Wait until the query on screen is another one (and not until one is there at all)."""
        self.page.wait_for_function(
            """(before) => {
              const query = document.querySelector("[data-testid=stHtml] p");
              return query !== null && query.innerText !== before;
            }""",
            arg=before,
            polling="raf",
        )


def label_some(screen: AnnotationScreen, *, keys: str) -> list[float]:
    """Press these keys, one a query, and return the seconds from each to the next query."""
    took_s = []
    for key in keys:
        time.sleep(LOOK_S)
        took_s.append(screen.press(key))
    return took_s


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the picture. Exit status 1 with one sentence when it cannot be taken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument("--keys", default="1121311211", help="what each presses, a key a query")
    given = parser.parse_args(arguments)
    settings = Settings()
    url = f"http://127.0.0.1:{settings.annotation_port}"
    took_s: list[float] = []
    try:
        with open_browser() as browser:
            for name in given.names:
                password = sys.stdin.readline().rstrip("\r\n")
                page = browser.new_context(viewport=SIZE).new_page()
                screen = AnnotationScreen(page, url=url)
                screen.sign_in(name, password)
                took_s += label_some(screen, keys=given.keys)
            page.mouse.move(0, 0)
            page.screenshot(path=PICTURE)
    except HubError as error:
        console.print(f"[red]No picture was taken.[/] {error}")
        return 1
    console.print(
        f"{PICTURE.name}: {PICTURE.stat().st_size / 1000:.0f} kB; from a key to the next query"
        f" {statistics.median(took_s):.2f} s (median of {len(took_s)}, at most {max(took_s):.2f} s)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
