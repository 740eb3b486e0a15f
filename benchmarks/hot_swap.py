"""Swaps under load: `python -m benchmarks.hot_swap [--replicas 1 2] [--duration 60]`.

Clients ask without a pause while ten good candidates and three corrupt ones are swapped in. Every
answer is compared with what the version that it names says of that text, computed beforehand and
apart from the hub. Exit status 1 when a bar of benchmarks/swap_verdict.py is missed.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

import httpx
import psycopg
from rich.console import Console

from benchmarks.load import Load, LoadProcess, apply_load
from benchmarks.own_hub import own_settings
from benchmarks.swap_candidates import GOOD, Field, make_field
from benchmarks.swap_verdict import Measured, Swap, Verdict, judge, table_of
from benchmarks.usage import Usage, foreign_cores, processes_under, usage_of
from contracts.errors import HubError
from contracts.settings import Settings
from scripts.prepare import prepare_models
from scripts.run import Hub, bring_up, step
from store.artifacts import open_store
from store.registry import Registry
from training.beside import Hub as Address
from training.beside import simulated_session
from training.hot_swap import SwapFailed, hot_swap

CLIENTS: Final = 4

console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def swap_all(hub: Hub, registry: Registry, field: Field, *, duration_s: float) -> Iterator[Swap]:
    """Swap one candidate after the other, spread over the time of the load."""
    address = Address(
        url=hub.cluster.http_url,
        dashboard_url=hub.cluster.dashboard_url,
        token=hub.cluster.token_file.read_text().strip(),
    )
    session_token = simulated_session(hub.settings)
    start_s = time.perf_counter()
    for place, candidate in enumerate(field.candidates):
        turn_s = start_s + place * duration_s / len(field.candidates)
        time.sleep(max(0.0, turn_s - time.perf_counter()))
        began_s, said = time.perf_counter(), ""
        try:
            hot_swap(
                candidate.version,
                hub=address,
                registry=registry,
                golden=field.golden(candidate),
                session_token=session_token,
                who="benchmarks.hot_swap",
                why=candidate.wrong or "a good candidate",
                report=lambda line: None,
            )
        except SwapFailed as error:
            said = str(error)
        now = registry.champion()
        assert now is not None
        yield Swap(
            candidate.version, candidate.wrong, began_s, time.perf_counter(), said, now.version
        )


def resident_bytes(hub: Hub) -> int:
    """Return the resident memory of the classifier's replicas together."""
    answer = httpx.get(hub.cluster.http_url + "/v1/models", timeout=10).raise_for_status().json()
    return sum(int(one["memory_bytes"]) for one in answer["replicas"])


def measure(hub: Hub, field: Field, *, replicas: int, duration_s: float) -> Measured:
    """Apply the load, swap everything meanwhile, and return what was seen."""
    registry = Registry(open_store(hub.settings.artifacts_root))
    questions = hub.settings.home_dir / "questions.jsonl"
    questions.write_text("".join(json.dumps({"text": text}) + "\n" for text in field.texts))
    load = Load(
        url=hub.cluster.http_url,
        clients=CLIENTS,
        duration_s=10 * duration_s,  # it is ended when time and swaps are over
        mix="zipf",
        questions=str(questions),
        keep_answers=True,
    )
    # Not counted: what a hub does once, such as filling its pools, is over after it.
    apply_load(Load(url=load.url, clients=8, duration_s=5, questions=load.questions, mix="zipf"))
    before_bytes = resident_bytes(hub)
    before = usage_of(processes_under(marker=str(hub.cluster.temp_dir)))
    with LoadProcess(load) as process:
        time.sleep(load.warmup_s)
        end_s = time.perf_counter() + duration_s
        swaps = []
        for swap in swap_all(hub, registry, field, duration_s=duration_s - 3):
            swaps.append(swap)
            console.print(f"    [dim]{swap.line}[/]", soft_wrap=True)
        time.sleep(max(0.0, end_s - time.perf_counter()))
        report = process.stop()
    after = usage_of(processes_under(marker=str(hub.cluster.temp_dir)))
    return Measured(
        replicas=replicas,
        report=report,
        swaps=tuple(swaps),
        before_bytes=before_bytes,
        after_bytes=resident_bytes(hub),
        controller_share=_controller_share(before, after),
        foreign_cores=foreign_cores(before, after),
    )


def _controller_share(before: Usage, after: Usage) -> float:
    """Return how much of a CPU Serve's controller took."""
    taken_s = [one.cpu_s.get("ServeController", 0.0) for one in (before, after)]
    return (taken_s[1] - taken_s[0]) / (after.at_s - before.at_s)


@contextmanager
def hub_of(home: Path, *, replicas: int) -> Iterator[Hub]:
    """Bring up a hub over `home` with so many classifier replicas; stop it afterwards."""
    # A known text must cost as much as a new one.
    settings = own_settings(home, embedding_cache_entries=1)
    with ExitStack() as stack:
        overrides = {"Classifier": {"num_replicas": replicas}}
        yield bring_up(settings, stack, step=step, overrides=overrides)


def run(models_home: Path, *, replicas: int, duration_s: float, good: int = GOOD) -> Verdict:
    """Measure a hub of its own, over copies of the encoder and artifacts of `models_home`."""
    with tempfile.TemporaryDirectory(prefix="hub-swap-") as folder:
        home = Path(folder)
        (home / "encoder").symlink_to(models_home / "encoder")
        shutil.copytree(models_home / "artifacts" / "models", home / "artifacts" / "models")
        with hub_of(home, replicas=replicas) as hub:
            with step("candidates: ten good ones, three corrupt ones, and what each says"):
                artifacts = home / "artifacts"
                registry = Registry(open_store(str(artifacts)))
                field = make_field(registry, artifacts=artifacts, good=good)
            with step(f"{CLIENTS} clients for {duration_s:g} s, {replicas} replica(s), swapping"):
                measured = measure(hub, field, replicas=replicas, duration_s=duration_s)
    return judge(measured, said=field.said)


def main() -> int:
    """Measure and print. Exit status 1 with a sentence for each bar that was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--duration", type=float, default=60.0, help="seconds of load")
    parser.add_argument("--json", type=Path, help="default: HUB_HOME/benchmarks/hot_swap.json")
    arguments = parser.parse_args()
    try:
        given = Settings()
        prepare_models(given, step=step)
        judged = [
            run(given.home_dir, replicas=replicas, duration_s=arguments.duration)
            for replicas in arguments.replicas
        ]
    except (HubError, psycopg.Error, OSError) as error:
        console.print(f"[red]The benchmark did not finish.[/] {error}")
        return 1
    except KeyboardInterrupt:
        console.print("\nstopped; what was started is stopped too, nothing is kept.")
        return 130
    file = arguments.json or given.home_dir / "benchmarks" / "hot_swap.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([asdict(one) for one in judged], indent=1) + "\n")
    console.print(table_of(judged))
    missed = [line for one in judged for line in one.missed]
    for line in missed:
        console.print(f"[red]missed[/] {line}", soft_wrap=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
