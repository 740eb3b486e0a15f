"""How text that a student wrote is shown: as it is, and never as markup."""

import html
import re

from contracts.records import ReviewItem

_MARKUP = re.compile(r"([!-/:-@\[-`{-~])")
_OUTCOMES = {
    "answered": "The hub answered",
    "confused": "The hub was not sure",
    "rephrase": "The hub asked to rephrase",
}
_REASONS = {
    "doubtful": "doubtful answer",
    "thumbs_down": "thumb down",
    "audit": "audit of a confident answer",
}


def plain(text: str) -> str:
    """Return one line of markdown that shows the text itself, whatever characters it has."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def query_html(text: str) -> str:
    """Return the query as HTML: large, with its line breaks, and nothing in it interpreted."""
    return f'<p style="font-size:1.6rem;margin:0;white-space:pre-wrap">{html.escape(text)}</p>'


def answer_line(item: ReviewItem, *, title: str) -> str:
    """Return what the hub made of the query, as one line of markdown."""
    outcome = _OUTCOMES.get(item.outcome, item.outcome)
    if item.confidence is None:
        return f"{outcome}: no classifier was there."
    return f"{outcome}: **{title}**, {item.confidence:.0%} sure."


def origin_line(item: ReviewItem) -> str:
    """Return why the query is here, when it was asked, and how many a label counts for."""
    parts = [_REASONS.get(item.reason, item.reason), f"asked {item.asked_at:%d %b %Y}"]
    if item.source == "simulated":
        parts.append("simulated")
    if item.members > 1:
        parts.append(f"**labels these {item.members} alike**")
    return " · ".join(parts)
