"""The door of the view: nobody sees a query without an account that is in force."""

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import streamlit as st

from annotation import resources
from contracts.errors import SignInDelayed, SignInRefused
from store.reviewers import NAME_MAX, PASSWORD_MAX, Reviewer, find_reviewer, sign_in

SIGNED_IN_FOR = timedelta(hours=12)
"""After this a password is asked for again, also in a window that stayed open."""

_NAME, _SINCE = "signed_in_as", "signed_in_at"


def signed_in_reviewer() -> Reviewer | None:
    """Return who is signed in; or show the sign-in form, and nothing else may be shown: None.

    Looks at the account anew each time: one that was disabled is out at the next click.
    """
    name = _name_in_session() or _name_of_single_sign_on()
    if name is not None:
        with resources.connection() as connection:
            reviewer = find_reviewer(connection, name)
        if reviewer is not None:
            return reviewer
        _show_no_account(name)
    _show_form()
    return None


def sign_out() -> None:
    """Forget who is signed in, here and, with single sign-on, in its cookie."""
    st.session_state.clear()
    if _has_single_sign_on() and st.user.get("is_logged_in"):
        st.logout()


def name_from_claims(claims: Mapping[str, Any], *, trusts_unmarked: bool) -> str | None:
    """Return the account name of an OIDC identity: its e-mail address, unless that is unproved.

    A provider that does not say `email_verified: true` may let anybody write any address there;
    `trusts_unmarked` takes it when nothing at all is said.
    """
    email = claims.get("email")
    if not isinstance(email, str):
        return None
    is_verified = claims.get("email_verified", trusts_unmarked)
    return email.strip().lower() or None if is_verified is True else None


def _name_in_session() -> str | None:
    since: datetime | None = st.session_state.get(_SINCE)
    if since is None or datetime.now(UTC) - since > SIGNED_IN_FOR:
        return None
    name: str | None = st.session_state.get(_NAME)
    return name


def _has_single_sign_on() -> bool:
    return bool(st.secrets.load_if_toml_exists()) and "auth" in st.secrets


def _name_of_single_sign_on() -> str | None:
    if not _has_single_sign_on() or not st.user.get("is_logged_in"):
        return None
    trusts_unmarked = resources.settings().annotation_trust_email
    name = name_from_claims(st.user.to_dict(), trusts_unmarked=trusts_unmarked)
    if name is None:
        st.error(
            "Your sign-in service gave no e-mail address that it calls verified. If it never says"
            " so and you trust its addresses, set HUB_ANNOTATION_TRUST_EMAIL=true."
        )
        st.button("Sign in as somebody else", on_click=sign_out, key="other_identity")
    return name


def _show_no_account(name: str) -> None:
    st.error(
        "Your account is not in force here: it was disabled, or nobody has added it. A lead can:"
    )
    st.code(f"python scripts/reviewer.py add {shlex.quote(name)} --role reviewer", language=None)
    st.button("Sign in as somebody else", on_click=sign_out, key="other_account")


def _show_form() -> None:
    st.title("Labelling")
    st.write("Sign in to say what students' queries mean. A lead adds accounts.")
    with st.form("sign_in", width=420):
        name = st.text_input("Name", max_chars=NAME_MAX, autocomplete="username")
        password = st.text_input(
            "Password", type="password", max_chars=PASSWORD_MAX, autocomplete="current-password"
        )
        submitted = st.form_submit_button("Sign in", type="primary")
    if _has_single_sign_on():
        for provider, words in _providers():
            st.button(words, on_click=st.login, args=provider, key=words)
    if submitted:
        _try(name, password)


def _try(name: str, password: str) -> None:
    try:
        with resources.connection() as connection:
            reviewer = sign_in(connection, name=name, password=password)
    except (SignInRefused, SignInDelayed) as refused:
        st.error(str(refused))
        return
    st.session_state[_NAME] = reviewer.name
    st.session_state[_SINCE] = datetime.now(UTC)
    st.rerun()


def _providers() -> list[tuple[tuple[str, ...], str]]:
    """Return the arguments of st.login and the words on the button, for each provider."""
    auth = st.secrets["auth"]
    if "client_id" in auth:
        return [((), "Sign in with your university account")]
    named = [name for name, value in auth.items() if isinstance(value, Mapping)]
    return [((name,), f"Sign in with {name}") for name in named]
