"""The figures beside the work: progress towards a retraining, one's own pace, agreement."""

from datetime import UTC, datetime

import streamlit as st

from annotation import resources
from annotation.agreement import Agreement, measure_agreement
from annotation.pace import items_per_minute
from store.labels import read_labels, read_progress
from store.reviewers import Reviewer

PACE_OVER = 50
"""Labels, the newest, that the pace is measured on."""


def show_figures(reviewer: Reviewer) -> None:
    """Show how far the labelling is, and fetch new queries when few are left."""
    with resources.connection() as connection:
        progress = read_progress(connection, reviewer=reviewer.name)
        mine = read_labels(connection, reviewer=reviewer.name, newest=PACE_OVER)
    needed = resources.settings().labels_needed
    st.progress(
        min(1.0, progress.verified / needed),
        text=f"**{progress.verified} of {needed}** verified labels for a retraining",
    )
    simulated = progress.verified - progress.verified_real
    st.caption(
        f"{progress.verified_real} from students, {simulated} simulated."
        f" {progress.labelled} of {progress.items} queries have a label."
    )
    pace = items_per_minute([label.labelled_at for label in mine], now=datetime.now(UTC))
    left, right = st.columns(2)
    left.metric("Items a minute", f"{pace:.0f}" if pace is not None else "–")
    right.metric("My labels", progress.mine)
    overall = next(iter(agreement()), None)
    if overall is not None:
        kappa = "unknown" if overall.kappa is None else f"{overall.kappa:.2f}"
        st.caption(
            f"Two people agreed in {overall.share:.0%} of {overall.items} cases"
            f" (Cohen's kappa {kappa})."
        )
    refresher = resources.refresher()
    refresher.refresh_when_low(progress.items - progress.labelled)
    if refresher.trouble:
        st.warning(refresher.trouble)


@st.cache_data(ttl=10, show_spinner=False)
def agreement() -> list[Agreement]:
    """Return the agreement over all intents and on each, at most ten seconds old."""
    with resources.connection() as connection:
        return measure_agreement(read_labels(connection))
