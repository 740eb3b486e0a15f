"""The annotation view for tests: its environment, and one browser window of it (AppTest)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from argon2 import PasswordHasher
from streamlit.testing.v1 import AppTest

import annotation
from annotation import desk, refresher
from store import reviewers
from store.database import Connection
from store.reviewers import add_reviewer
from tests.tiny_encoder import make_tiny_encoder

Json = dict[str, Any]
APP = Path(annotation.__file__).with_name("app.py")
PASSWORD = "correct horse battery"
KEYS = {"1": "suggestion-1-", "2": "suggestion-2-", "3": "suggestion-3-"}
KEYS |= {"o": "out_of_scope-", "u": "unclear-"}


class Window:
    """One browser window."""

    def __init__(self, *, secrets: Json | None = None, user: Json | None = None) -> None:
        self.app = AppTest.from_file(str(APP), default_timeout=60)
        for name, value in (secrets or {}).items():
            self.app.secrets[name] = value
        if user is not None:
            self.app.user = user
        self.run()

    def run(self) -> None:
        self.app.run()
        assert not self.app.exception, self.app.exception

    def sign_in(self, name: str, password: str = PASSWORD) -> "Window":
        self.app.text_input[0].input(name)
        self.app.text_input[1].input(password)
        self.app.button[0].click()
        self.run()
        return self

    def press(self, key: str) -> None:
        """Press the button that has this shortcut."""
        name = "undo" if key == "z" else f"{KEYS[key]}{self.item_id}"
        self.app.button(key=name).click()
        self.run()

    def click(self, label: str) -> None:
        (button,) = [one for one in self.app.button if one.label == label]
        button.click()
        self.run()

    def choose(self, intent: str) -> None:
        self.app.selectbox(key=f"intent-{self.item_id}").select(intent)
        self.run()

    def open_tab(self, name: str) -> None:
        self.app.session_state["tab"] = name
        self.run()

    @property
    def item_id(self) -> str | None:
        keys = [button.key for button in self.app.button if button.key]
        return next((key.removeprefix("unclear-") for key in keys if key.startswith("unc")), None)

    @property
    def said(self) -> str:
        """Everything that is on screen as text."""
        kinds = ("title", "markdown", "caption", "info", "success", "warning", "error", "html")
        shown = [element.value for kind in kinds for element in self.app.get(kind)]
        return "\n".join([*shown, *(f"{one.label}: {one.value}" for one in self.app.metric)])


@pytest.fixture
def view(
    connection: Connection, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The environment of a view of the test's own, with three reviewers, one of them a lead."""
    monkeypatch.setenv("HUB_DATABASE_URL", database_url)
    monkeypatch.setenv("HUB_HOME", str(tmp_path))
    quick = PasswordHasher(time_cost=1, memory_cost=64)
    monkeypatch.setattr(reviewers, "_hasher", lambda: quick)
    monkeypatch.setattr(desk, "SHORTEST_LOOK_S", 0.0)
    monkeypatch.setattr(refresher, "LOW", 0)
    make_tiny_encoder(tmp_path / "encoder", texts=["where do i park my bike at night gym"])
    st.cache_resource.clear()
    st.cache_data.clear()
    for name, role in (("ana", "reviewer"), ("ben", "reviewer"), ("lea", "lead")):
        add_reviewer(connection, name=name, role=role, password=PASSWORD)  # type: ignore[arg-type]
    yield
    st.cache_resource.clear()
    st.cache_data.clear()
