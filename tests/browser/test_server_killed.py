"""The server is killed, in earnest, and started again: the page goes on by itself."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from playwright.sync_api import Route, expect

from scripts.ports import free_ports
from scripts.run import Hub
from tests.browser.conftest import OpenScreen
from tests.browser.screen import Screen


class FrontDoor:
    """What the browser takes for the server: a process in front of the hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub_port = str(urlsplit(hub.cluster.http_url).port)
        (self._port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.browser.front_door", str(self._port)]
        self._process = subprocess.Popen([*command, self._hub_port])
        deadline = time.monotonic() + 15
        while not self._is_open():
            assert time.monotonic() < deadline, "the front door does not open"
            time.sleep(0.02)

    def _is_open(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def freeze(self) -> None:
        """Let it take connections and say nothing, as a server that hangs."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def door(hub: Hub) -> Iterator[FrontDoor]:
    opened = FrontDoor(hub)
    yield opened
    opened.kill()


@pytest.fixture
def behind(open_screen: OpenScreen, door: FrontDoor) -> Screen:
    """A page whose server can be killed."""
    screen = open_screen(url=door.url)
    screen.announce_failed_requests()
    return screen


def rows_of(hub: Hub, text: str) -> int:
    with psycopg.connect(hub.settings.database_url) as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM interaction_log WHERE query_text = %s", (text,)
        ).fetchone()
    return count


def test_a_server_that_dies_while_typing_is_asked_again_when_it_is_back(
    hub: Hub, door: FrontDoor, behind: Screen
) -> None:
    behind.open()
    behind.ask("where can i get a flu shot")
    behind.expect_state("answered")
    text = f"how do i renew book {uuid.uuid4().hex}"
    door.freeze()
    behind.ask(text)
    behind.expect_state("typing")
    door.kill()
    behind.expect_state("offline")
    expect(behind.banner).to_contain_text("Your question is kept")
    expect(behind.crisis.first).to_be_visible()
    expect(behind.page.locator("#offline .contacts .phone").first).to_be_visible()
    behind.earlier.locator("summary").click()
    expect(behind.earlier.locator(".cards > li").first).to_be_visible()
    door.start()
    expect(behind.page.locator("#now .asked")).to_have_text(text)
    expect(behind.cards.first).to_be_visible()
    expect(behind.banner).to_be_hidden()
    behind.wait_for(lambda: rows_of(hub, text) == 1)


def test_a_page_that_opened_without_a_server_behind_it_recovers(
    door: FrontDoor, behind: Screen
) -> None:
    behind.open()
    expect(behind.page.locator("#examples button").first).to_be_visible()
    door.kill()
    behind.ask("where can i get a flu shot")
    behind.expect_state("offline")
    door.start()
    behind.expect_state("answered")


def test_an_answer_that_was_lost_on_its_way_makes_no_second_row(hub: Hub, behind: Screen) -> None:
    text = f"how do i renew book {uuid.uuid4().hex}"
    lost: list[str] = []

    def lose_the_first(route: Route) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route.fetch().json()["interaction_id"])
        route.abort("connectionreset")

    behind.page.route("**/v1/query", lose_the_first)
    behind.open()
    with behind.page.expect_response("**/v1/query") as answered:
        behind.ask(text)
    assert answered.value.json()["interaction_id"] == lost[0]
    expect(behind.cards.first).to_be_visible()
    behind.wait_for(lambda: rows_of(hub, text) == 1)
