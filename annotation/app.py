"""The annotation view, as Streamlit runs it: sign in, then label, see agreement, find intents."""

import psycopg
import streamlit as st

from annotation import resources
from annotation.agreement_tab import show_agreement
from annotation.desk import Desk
from annotation.figures import show_figures
from annotation.labelling import show_labelling
from annotation.new_intents import show_new_intents
from annotation.sign_in import sign_out, signed_in_reviewer
from contracts.errors import DatabaseUnavailable, HubError
from store.reviewers import Reviewer

LABEL, AGREEMENT, NEW_INTENT = "Label", "Agreement", "New intent?"
_DESK = "desk"


def main() -> None:
    """Show the view. What is away is told with what to do; the next click tries again."""
    st.set_page_config(page_title="Labelling · Student Resource Hub", layout="wide")
    try:
        reviewer = signed_in_reviewer()
        if reviewer is not None:
            _show(reviewer)
    except psycopg.OperationalError as error:
        _show_trouble(DatabaseUnavailable(f"{error}. When the hub ran it, start `make run` again."))
    except (HubError, psycopg.Error) as error:
        _show_trouble(error)


def _show_trouble(error: Exception) -> None:
    st.error(f"{error}\n\nEvery label that you saw counted is kept.")
    st.button("Try again")


def _show(reviewer: Reviewer) -> None:
    desk = _desk(reviewer)
    with st.sidebar:
        st.caption(f"Signed in as **{reviewer.name}** ({reviewer.role})")
        st.button("Sign out", on_click=_leave, args=(desk,))
        figures = st.container()
    tabs = st.tabs([LABEL, AGREEMENT, NEW_INTENT], on_change="rerun", key="tab")
    # Only what is open is worked out: a key must bring the next query at once.
    if tabs[0].open:
        with tabs[0]:
            show_labelling(desk)
    if tabs[1].open:
        with tabs[1]:
            show_agreement()
    if tabs[2].open:
        with tabs[2]:
            show_new_intents()
    with figures:
        show_figures(reviewer)
    with resources.connection() as connection:
        desk.fetch_ahead(connection)


def _desk(reviewer: Reviewer) -> Desk:
    desk: Desk | None = st.session_state.get(_DESK)
    if desk is None or desk.reviewer != reviewer.name:
        desk = Desk(reviewer=reviewer.name, lease_s=resources.settings().lease_s)
        with resources.connection() as connection:
            desk.open(connection)
            desk.fetch_ahead(connection)
        st.session_state[_DESK] = desk
    return desk


def _leave(desk: Desk) -> None:
    with resources.connection() as connection:
        desk.close(connection)
    sign_out()


main()
