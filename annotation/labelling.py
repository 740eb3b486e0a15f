"""The tab where queries are labelled: one keystroke each."""

from pathlib import Path

import psycopg
import streamlit as st

from annotation import resources
from annotation.desk import Desk
from annotation.intents import Intents, title_of
from annotation.showing import answer_line, origin_line, plain, query_html
from contracts.errors import HubError
from contracts.outcome import OUT_OF_SCOPE
from contracts.records import IntentProbability, ReviewItem
from store.labels import UNCLEAR, read_titles

SUGGESTIONS = 3
_KEYS = Path(__file__).with_name("keys.html")
"""`/` goes to the search among all intents: Streamlit's own shortcuts only press buttons."""


def show_labelling(desk: Desk) -> None:
    """Show the query that is due, with a key for each thing that can be said of it."""
    item = desk.current or _look_for_more(desk)
    _show_last(desk)
    if item is None:
        st.info(
            "Nothing to label just now: every query waits for somebody else's label, or has"
            " what it needs. New ones come as students ask."
        )
        st.button("Look again", type="primary")
        _show_undo(desk)
        return
    intents = resources.intents()
    with st.container(border=True):
        st.caption(origin_line(item))
        st.html(query_html(item.query_text))
        st.markdown(answer_line(item, title=title_of(item.intent, intents)))
        _show_results(item)
    _show_suggestions(desk, item=item, intents=intents)
    _show_rest(desk, item=item, intents=intents)
    st.html(_KEYS, unsafe_allow_javascript=True)


def _show_results(item: ReviewItem) -> None:
    with resources.connection() as connection:
        titles = read_titles(connection, list(item.result_ids))
    shown = [plain(titles.get(node, f"{node} (no longer there)")) for node in item.result_ids]
    st.caption("It showed: " + (" · ".join(shown) if shown else "nothing."))


def _show_suggestions(desk: Desk, *, item: ReviewItem, intents: Intents) -> None:
    columns = st.columns(SUGGESTIONS)
    for place, suggested in enumerate(item.alternatives[:SUGGESTIONS]):
        columns[place].button(
            _words(suggested, intents=intents),
            key=f"suggestion-{place + 1}-{item.item_id}",
            shortcut=str(place + 1),
            help=intents[suggested.intent].description if suggested.intent in intents else None,
            on_click=_label,
            args=(desk, item.item_id, suggested.intent),
            type="primary" if place == 0 else "secondary",
            width="stretch",
        )


def _show_rest(desk: Desk, *, item: ReviewItem, intents: Intents) -> None:
    left, middle, right = st.columns(3)
    for column, intent, key in ((left, OUT_OF_SCOPE, "o"), (middle, UNCLEAR, "u")):
        column.button(
            title_of(intent, intents),
            key=f"{intent}-{item.item_id}",
            shortcut=key,
            on_click=_label,
            args=(desk, item.item_id, intent),
            width="stretch",
        )
    with right:
        _show_undo(desk)
    # Of this item only: a choice that was begun for one query must not be made for the next.
    key = f"intent-{item.item_id}"
    with st.container(key="other_intent"):
        st.selectbox(
            "Another intent",
            options=list(intents),
            index=None,
            format_func=lambda name: title_of(name, intents),
            placeholder="press / and type, Enter labels",
            key=key,
            on_change=_label_chosen,
            args=(desk, item.item_id, key),
        )


def _show_undo(desk: Desk) -> None:
    st.button("Undo", key="undo", shortcut="z", on_click=_undo, args=(desk,), width="stretch")


def _show_last(desk: Desk) -> None:
    """Say what the last key did, so that a slip is seen while the next query is read."""
    if desk.said:
        st.warning(desk.said)
    elif desk.last is not None:
        item, label = desk.last
        title = title_of(label.intent, resources.intents())
        st.success(f"“{plain(item.query_text[:80])}” is labelled **{title}**. z takes it back.")
    else:
        st.info("1, 2, 3 accept a suggestion; o out of scope, u unclear, z undo, / all intents.")


def _words(suggested: IntentProbability, *, intents: Intents) -> str:
    return f"{title_of(suggested.intent, intents)} · {suggested.confidence:.0%}"


def _label(desk: Desk, item_id: str, intent: str) -> None:
    try:
        with resources.connection() as connection:
            desk.label(connection, item_id=item_id, intent=intent)
    except (HubError, psycopg.Error) as error:
        desk.said = f"That label was not kept; give it again. {error}"


def _label_chosen(desk: Desk, item_id: str, key: str) -> None:
    intent: str | None = st.session_state.get(key)
    if intent is not None:
        _label(desk, item_id, intent)


def _undo(desk: Desk) -> None:
    try:
        with resources.connection() as connection:
            desk.undo(connection)
    except (HubError, psycopg.Error) as error:
        desk.said = f"Nothing was taken back; press z again. {error}"


def _look_for_more(desk: Desk) -> ReviewItem | None:
    """Lease what there is; when that is nothing, fill the queue while the person sees how far."""
    with resources.connection() as connection:
        desk.fetch_ahead(connection)
        if desk.current is not None:
            return desk.current
    with st.status("Looking for new queries", expanded=False) as status:
        resources.refresher().refresh(
            advance=lambda done, of: status.update(label=f"New queries: {done} of {of} compared")
        )
    with resources.connection() as connection:
        desk.fetch_ahead(connection)
    return desk.current
