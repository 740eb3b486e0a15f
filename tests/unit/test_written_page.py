"""A page is written whole, or what was there stays."""

import os
from pathlib import Path

import jinja2
import pytest

from pages.page import render, write_page


def test_a_page_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "report.html"
    write_page(file, "old")

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(OSError, match="No space"):
        write_page(file, "new")
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_letter_that_no_file_can_hold_is_written_as_its_number(tmp_path: Path) -> None:
    write_page(tmp_path / "new" / "report.html", "half \ud83d")
    assert (tmp_path / "new" / "report.html").read_text() == "half \\ud83d"


def test_a_template_gets_the_frame_and_escapes_and_misses_nothing(tmp_path: Path) -> None:
    template = tmp_path / "small.html"
    template.write_text(
        '{% extends "frame.html" %}{% block title %}{{ name }}{% endblock %}'
        "{% block body %}<p>{{ name }}</p>{% endblock %}"
    )
    html = render(template, name="<b>")
    assert "<title>&lt;b&gt;</title>" in html
    assert "<p>&lt;b&gt;</p>" in html
    with pytest.raises(jinja2.UndefinedError):
        render(template)
