"""The loop turns on a live hub: simulated students ask, the hub's cluster takes the snapshot."""

import asyncio
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console

from scripts.run import Hub
from scripts.simulate_traffic import make_sessions
from scripts.simulation import simulate
from scripts.students import Crowd
from store.artifacts import open_store
from store.database import connect
from store.dataset_kinds import INTERACTIONS, LABELS
from store.dataset_rows import MARGIN_S
from store.datasets import Datasets
from store.identity import session_of
from store.report import read_report
from tests.samples import until
from training.examples import QUERIES_FILE, read_examples, read_labels
from training.ray_job import submit

SESSIONS = 12


# of Ray's own job client, which follows the job's log over a web socket
async def test_simulated_sessions_are_stored_as_simulated_and_snapshot_by_a_ray_job(
    hub: Hub, tmp_path: Path
) -> None:
    secret, database_url = hub.settings.require_secret(), hub.settings.database_url
    assert database_url is not None
    since = datetime.now(UTC)
    with connect(database_url) as connection:
        tokens = make_sessions(connection, SESSIONS, secret=secret)
        crowd = Crowd(read_examples(QUERIES_FILE, labels=read_labels()))
        tally = await simulate(hub.cluster.http_url, tokens=tokens, crowd=crowd, rate=20)
        assert not tally.refusals
        assert tally.right > tally.outcomes.total() / 2
        sessions = [session_of(token, secret=secret) for token in tokens]
        stored = "SELECT interaction_id FROM interaction_log WHERE session_id = ANY(%s)"

        def ids() -> set[str]:
            return {one for (one,) in connection.execute(stored, (sessions,)).fetchall()}

        await until(lambda: len(ids()) >= tally.outcomes.total() + tally.too_fast)
        report = read_report(
            connection, since=since - timedelta(minutes=1), until=datetime.now(UTC)
        )
        assert report.sources["simulated"].total.queries >= len(ids())
        thumbs = "SELECT count(feedback_score) FROM interaction_log WHERE session_id = ANY(%s)"
        given = (tally.thumbs.total(),)
        await until(lambda: connection.execute(thumbs, (sessions,)).fetchone() == given)

        await asyncio.sleep(MARGIN_S + 1)
        said = io.StringIO()
        status = await asyncio.to_thread(
            submit,
            "scripts.snapshot",
            ["--so-far"],
            dashboard=hub.cluster.dashboard_url,
            token=hub.cluster.token_file.read_text().strip(),
            console=Console(file=said, width=200),
            env_vars={"HUB_ARTIFACTS": str(tmp_path)},
        )
        assert status == 0, said.getvalue()
        datasets = Datasets(open_store(str(tmp_path)))
        days = datasets.days(INTERACTIONS)
        assert datasets.days(LABELS) == days[-1:]
        frame = datasets.read_pandas(INTERACTIONS, first=days[0], last=days[-1])
        ours = frame[frame["session_id"].isin(sessions)]
        assert set(ours["interaction_id"]) == ids()
        assert set(ours["source"]) == {"simulated"}
        assert f"interactions of {days[-1]}: " in said.getvalue()
