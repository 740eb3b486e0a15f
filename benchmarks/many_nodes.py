"""A hub on several nodes: `python -m benchmarks.many_nodes [--plot FILE]`.

A head, a node that serves and a node for training, each a raylet with HAProxy ports of its own on
this machine. Under load the embedder grows onto the second node and shrinks again; that node is
killed under load; then a retraining is submitted by a client that has the address and the token and
nothing else. Takes some four minutes. Exit status 1 when a promise was not kept.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx
import psycopg
from rich.console import Console

from benchmarks.added_node import AddedNode
from benchmarks.load import Load, LoadProcess, LoadReport
from benchmarks.node_training import train_from_elsewhere
from benchmarks.node_verdict import SERVING, TRAINING, Found, show
from benchmarks.own_hub import own_settings
from benchmarks.timeline import Moment, Timeline
from benchmarks.timeline_picture import picture
from contracts.errors import HubError
from contracts.settings import Settings
from scripts.cluster import Overrides
from scripts.prepare import prepare_models
from scripts.run import Hub, bring_up, step
from store.database import connect
from store.embedded import database_url

REPLACEMENT: Final = "replacement"
CLIENTS: Final = 160
"""That make the embedder grow: below HUB_MAX_WAITING, far above two full batches."""
CLIENTS_AT_THE_KILL: Final = 8
PATIENCE_S: Final = 90.0
QUICK: Final = {"upscale_delay_s": 1, "downscale_delay_s": 5}

ONE_NODE: Final[Overrides] = {
    # So large a share that the head holds one embedder and no second.
    "Embedder": {"ray_actor_options": {"num_cpus": 1.2}, "autoscaling_config": QUICK},
}
TWO_NODES: Final[Overrides] = {
    **ONE_NODE,
    "Ingress": {"num_replicas": 2, "max_replicas_per_node": 1},
}

console = Console(highlight=False, soft_wrap=True)


def until(condition: Callable[[], bool], *, what: str, within_s: float = PATIENCE_S) -> None:
    """Wait for it. Raises HubError when it does not come."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > within_s:
            raise HubError(f"Not within {within_s:.0f} s: {what}.")
        time.sleep(0.25)


def grow_and_shrink(hub: Hub, timeline: Timeline) -> tuple[LoadReport, int, int]:
    """Ask hard until three embedders run, and wait until one is left."""
    timeline.say(f"{CLIENTS} clients ask")
    load = Load(
        url=hub.cluster.http_url, clients=CLIENTS, duration_s=300, options={"deadline_ms": 10_000}
    )
    with LoadProcess(load) as process:
        until(lambda: timeline.look().running("Embedder") == 3, what="three embedders")
        time.sleep(4)  # all three at work
        most = timeline.look()
        report = process.stop()
    timeline.say("nobody asks")
    until(lambda: timeline.look().running("Embedder") == 1, what="one embedder again")
    return report, most.running("Embedder"), most.replicas.get(("Embedder", SERVING), 0)


def kill_under_load(
    hub: Hub, node: AddedNode, timeline: Timeline, stack: ExitStack
) -> tuple[LoadReport, int, float]:
    """Switch the second node off while clients ask, and add another as the autoscaler would.

    Returns what the clients saw, how many rows were lost, and the seconds until all was whole.
    """
    load = Load(
        url=hub.cluster.http_url,
        clients=CLIENTS_AT_THE_KILL,
        duration_s=300,
        first=100_000,
        keep_ids=True,
    )
    with LoadProcess(load) as process:
        time.sleep(4)
        timeline.say("the second node is killed")
        began = time.monotonic()
        node.kill()
        stack.enter_context(AddedNode(hub.cluster, name=REPLACEMENT, num_cpus=3, number=3))
        until(lambda: is_whole(hub, timeline), what="the whole graph again")
        whole_after_s = time.monotonic() - began
        timeline.say("whole again")
        time.sleep(4)
        report = process.stop()
    time.sleep(2)
    return report, lost(hub, report.interaction_ids), whole_after_s


def is_whole(hub: Hub, timeline: Timeline) -> bool:
    """Whether the dead node is known to be dead and every deployment has all its replicas."""
    try:
        moment = timeline.look()
        ready = httpx.get(hub.cluster.http_url + "/v1/readyz", timeout=5)
    except httpx.HTTPError:
        return False
    asked = {"Ingress": 2, "Classifier": 1, "Embedder": 1, "Retriever": 1}
    return (
        SERVING not in moment.nodes
        and all(moment.running(name) >= count for name, count in asked.items())
        and ready.status_code == httpx.codes.OK
        and ready.json()["degraded"] == []
    )


def lost(hub: Hub, ids: Sequence[str], *, within_s: float = 30.0) -> int:
    """Return how many received ids are not stored exactly once, after the spools are adopted."""
    deadline = time.monotonic() + within_s
    with connect(database_url(hub.settings), vectors=False) as connection:
        while True:
            rows = connection.execute(
                "SELECT interaction_id, count(*) FROM interaction_log"
                " WHERE interaction_id = ANY (%s) GROUP BY interaction_id",
                (list(ids),),
            ).fetchall()
            once = sum(1 for _, count in rows if count == 1)
            if once == len(set(ids)) or time.monotonic() > deadline:
                return len(ids) - once
            time.sleep(0.5)


def measure(*, encoder: Path, cache: Path, plot: Path | None) -> Found:
    """Bring the nodes up, let all of it happen, and return what was seen."""
    with tempfile.TemporaryDirectory(prefix="hub-nodes-") as folder, ExitStack() as stack:
        home = Path(folder)
        (home / "encoder").symlink_to(encoder)
        (home / "cache").symlink_to(cache)
        hub = bring_up(own_settings(home), stack, step=step, overrides=ONE_NODE)
        timeline = Timeline(hub.cluster, (SERVING, TRAINING, REPLACEMENT))
        with timeline:
            with step("two more nodes join"):
                serving = AddedNode(hub.cluster, name=SERVING, num_cpus=3, number=1)
                stack.enter_context(serving)
                # Not both at once: on one machine they get in each other's way.
                until(lambda: SERVING in timeline.look().nodes, what="the node that serves")
                training = AddedNode(hub.cluster, name=TRAINING, num_cpus=0, number=2)
                stack.enter_context(training)
                until(lambda: TRAINING in timeline.look().nodes, what="the node for training")
            with step("the ingress takes a second replica, on the second node") as say:
                hub.cluster.deploy(overrides=TWO_NODES, progress=say)
                until(lambda: has_door(timeline.look()), what="an ingress on the second node")
                until(lambda: is_ready(serving.http_url), what="the second node's own HAProxy")
            with step(f"{CLIENTS} clients ask: the embedder grows, and shrinks after it"):
                scaling, most, beside = grow_and_shrink(hub, timeline)
            with step("the second node is killed under load"):
                killed, missing, whole_after_s = kill_under_load(hub, serving, timeline, stack)
            with step("a retraining, submitted with the address and the token alone"):
                status, without, trained_on = train_from_elsewhere(hub, timeline)
        if plot is not None:
            plot.write_text(picture(timeline))
        return Found(
            most_embedders=most,
            embedders_beside=beside,
            scaling=scaling,
            killed=killed,
            lost=missing,
            whole_after_s=whole_after_s,
            trained_on=trained_on,
            training_status=status,
            without_token=without,
            serving_on_training_node=max(
                sum(count for (_, node), count in one.replicas.items() if node == TRAINING)
                for one in timeline.moments
            ),
        )


def has_door(moment: Moment) -> bool:
    return moment.replicas.get(("Ingress", SERVING), 0) == 1


def is_ready(url: str) -> bool:
    try:
        return httpx.get(url + "/v1/readyz", timeout=5).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def main(given: Sequence[str] | None = None) -> int:
    """Run it and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the timeline as an SVG")
    arguments = parser.parse_args(given)
    try:
        usual = Settings()
        prepare_models(usual, step=step)
        found = measure(encoder=usual.encoder_dir, cache=usual.cache_dir, plot=arguments.plot)
        return show(found, console=console)
    except (HubError, psycopg.Error, OSError, httpx.HTTPError) as error:
        console.print(f"[red]The benchmark did not finish.[/] {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
