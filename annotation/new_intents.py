"""The tab that shows what people ask and no intent covers."""

import streamlit as st

from annotation import resources
from annotation.clusters import find_clusters
from annotation.showing import plain
from store.labels import UnplacedQuery, read_unplaced

NEWEST = 1500
"""Queries that are looked at: their comparison grows with the square."""
MOST_SHOWN = 20
EXAMPLES = 6


def show_new_intents() -> None:
    """Show clusters of queries without a label or out of scope, the most asked first."""
    st.write(
        "Queries that have no label yet or are out of scope, grouped by what they are about."
        " A group that comes back and fits nowhere may deserve an intent: add it to"
        " `data/intents.yaml` with examples, and queries of it to the training data."
    )
    with resources.connection() as connection:
        queries = read_unplaced(connection, newest=NEWEST)
    with st.spinner(f"Grouping {len(queries)} queries", show_time=True):
        clusters = _clusters(queries)
    if not clusters:
        st.info(f"No group of three or more among {len(queries)} such queries.")
    for rows, weight in clusters[:MOST_SHOWN]:
        first = queries[rows[0]]
        with st.expander(f"**{weight}×** · {plain(first.query_text)}", expanded=True):
            st.markdown("\n".join(f"- {plain(queries[row].query_text)}" for row in rows[:EXAMPLES]))
            out_of_scope = sum(queries[row].is_out_of_scope for row in rows)
            st.caption(
                f"{len(rows)} different queries, {out_of_scope} of them labelled out of scope."
            )


@st.cache_data(ttl=600, max_entries=4, show_spinner=False)
def _clusters(queries: list[UnplacedQuery]) -> list[tuple[tuple[int, ...], int]]:
    if not queries:
        return []
    vectors = resources.refresher().encoder().encode([query.query_text for query in queries])
    found = find_clusters(vectors, weights=[query.members for query in queries])
    return [(one.rows, one.weight) for one in found]
