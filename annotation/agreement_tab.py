"""The tab that shows how far reviewers agree, intent by intent."""

import streamlit as st

from annotation import resources
from annotation.figures import agreement
from annotation.intents import title_of


def show_agreement() -> None:
    """Show Cohen's kappa for each intent, the worst first: those need clearer descriptions."""
    measured = agreement()
    if not measured:
        st.info("No query has labels of two people yet. Agreement shows when some have.")
        return
    intents = resources.intents()
    st.write(
        "How often two people gave the same label, and **Cohen's kappa**: agreement beyond chance,"
        " 1 at best, 0 for guessing. An intent with a low one needs a clearer description in"
        " `data/intents.yaml`."
    )
    rows = sorted(measured[1:], key=lambda one: (one.kappa is None, one.kappa, -one.items))
    st.dataframe(
        {
            "Intent": [title_of(one.intent, intents) for one in rows],
            "Cases": [one.items for one in rows],
            "Agreed": [one.share for one in rows],
            "Cohen's kappa": [one.kappa for one in rows],
        },
        column_config={
            "Cases": st.column_config.NumberColumn(
                help="Pairs of labels of which at least one says this intent."
            ),
            "Agreed": st.column_config.NumberColumn(format="percent"),
            "Cohen's kappa": st.column_config.NumberColumn(
                format="%.2f", help="Empty: everybody always said the same."
            ),
        },
        hide_index=True,
    )
