"""Does the loop turn? `python -m benchmarks.learning_loop`: drift, labels, version 4, its gain.

The university renames half of its services (data/drift). Version 3 answers 600 drifted queries; two
simulated reviewers, who err in 5 of 100, label them, and a lead decides what they disagree on: all
in a database of this benchmark's own, by the hub's own statements. `python -m training.retrain`
then makes version 4, and both are asked the drifted queries that nobody has labelled. The same
labels, poisoned (30 in 100 by chance; two intents swapped), must be stopped.

Takes some minutes, a cluster of its own, and nothing of any hub but its cached first version.
Exit status 0 when version 4 passes its gates and is better by 5 points, and no poison passes.
"""

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress

from benchmarks.drifted_queries import draw, poison_randomly, read_drift, swap_intents
from benchmarks.learning_verdict import SWAPPED, Retrained, show
from benchmarks.review_desk import People, label_everything
from contracts.errors import HubError
from contracts.settings import PROJECT, Settings
from models.classifier import IntentClassifier
from store.artifacts import open_store
from store.database import connect
from store.registry import SERVED_FILES, Registry
from store.running import running_database
from training.examples import Example, read_labels
from training.first_version import make_first_version
from training.gate import Judged
from training.significance import Significance, compare

LABELS: Final = 600
POISON: Final = 0.3

console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Loop:
    """The folders of a run: one registry, and a home with a database for each set of labels."""

    root: Path
    seed: int

    def settings(self, name: str) -> Settings:
        return Settings(
            home=self.root / name,
            artifacts=str(self.root / "artifacts"),
            database_url=None,
            demo=True,
        )

    def prepare(self) -> str:
        """See that the registry has a first version, from the usual cache where it can be."""
        cache_dir = Settings().cache_dir
        return make_first_version(self.settings("honest"), cache_dir=cache_dir, report=say)

    def classifier(self, version: str) -> IntentClassifier:
        registry = Registry(open_store(str(self.root / "artifacts")))
        folder = registry.fetch(version, cache_dir=self.root / "cache", only=SERVED_FILES)
        return IntentClassifier(folder, threads=2)

    def label(self, name: str, labels: Sequence[Example], *, champion: str) -> int:
        """Let the queries be asked, and people label them; return how many labels are verified."""
        settings = self.settings(name)
        if not settings.encoder_dir.is_dir():
            shutil.copytree(self.settings("honest").encoder_dir, settings.encoder_dir)
        with (
            running_database(settings, say=say) as url,
            connect(url) as connection,
            Progress(console=console, transient=True) as progress,
        ):
            task = progress.add_task("labelling", total=None)
            logged, verified = label_everything(
                connection,
                labels,
                database_url=url,
                classifier=self.classifier(champion),
                secret=secrets.token_bytes(32),
                people=People(),
                seed=self.seed,
                advance=lambda: progress.advance(task),
            )
        say(f"{name}: {len(logged)} queries asked and labelled, {len(verified)} labels verified")
        return len(verified)

    def retrain(self, name: str, *options: str, verified: int) -> Retrained:
        """Run the chain on what was labelled, as `make retrain` does, and say how it ended."""
        settings = self.settings(name)
        ours = {
            "HUB_HOME": str(settings.home_dir),
            "HUB_ARTIFACTS": settings.artifacts_root,
            "HUB_DEMO": "1",
        }
        elsewhere = ("HUB_DATABASE_URL", "RAY_ADDRESS")
        environment = {key: value for key, value in os.environ.items() if key not in elsewhere}
        done = subprocess.run(
            [sys.executable, "-u", "-m", "training.retrain", *options],
            cwd=PROJECT,
            env=environment | ours,
            check=False,
        )
        runs = sorted((settings.home_dir / "retraining").glob("*/consistency.json"))
        said = json.loads(runs[-1].read_text()) if runs else {"reasons": []}
        return Retrained(done.returncode, tuple(said["reasons"]), verified)

    def versions(self) -> list[str]:
        return Registry(open_store(str(self.root / "artifacts"))).versions()


def say(line: str) -> None:
    """Print a line where whoever waits sees it."""
    console.print(line, markup=False)


def turn(loop: Loop, *, count: int) -> int:
    """Turn the loop once, and try to poison it twice; return the exit status."""
    champion = loop.prepare()
    drawn = draw(read_drift("label"), count=count, seed=loop.seed)
    poisoned = {
        "by chance": poison_randomly(drawn, share=POISON, intents=read_labels(), seed=loop.seed),
        "swapped": swap_intents(drawn, first=SWAPPED[0], second=SWAPPED[1]),
    }
    stopped = {}
    for name, labels in poisoned.items():
        folder = name.replace(" ", "_")
        verified = loop.label(folder, labels, champion=champion)
        stopped[name] = loop.retrain(folder, "--dry-run", verified=verified)
    before = set(loop.versions())
    verified = loop.label("honest", drawn, champion=champion)
    honest = loop.retrain("honest", "--no-promote", verified=verified)
    candidate = next((one for one in loop.versions() if one not in before), None)
    gain = judge(loop, champion=champion, candidate=candidate) if candidate else None
    return show(
        champion=champion,
        candidate=candidate,
        gain=gain,
        honest=honest,
        stopped=stopped,
        console=console,
    )


def judge(loop: Loop, *, champion: str, candidate: str) -> tuple[int, int, Significance]:
    """Ask both versions the held-out queries: how many each has right, and what that tells."""
    held_out = read_drift("held_out")
    texts = [one.text for one in held_out]
    answers = [
        [prediction.intent for prediction in loop.classifier(version).predict(texts)]
        for version in (champion, candidate)
    ]
    items = [
        Judged(one.text, one.intent, champion=old, candidate=new)
        for one, old, new in zip(held_out, *answers, strict=True)
    ]
    right = (
        sum(item.champion_is_right for item in items),
        sum(item.candidate_is_right for item in items),
    )
    return *right, compare(items)


def main(given: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--labels", type=int, default=LABELS, help=f"default: {LABELS}")
    parser.add_argument("--seed", type=int, default=0, help="another draw, other slips")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep the versions and the databases there"
    )
    arguments = parser.parse_args(given)
    try:
        with tempfile.TemporaryDirectory(prefix="hub-loop-") as folder:
            root = (arguments.keep or Path(folder)).resolve()
            if root.is_dir() and any(root.iterdir()):
                parser.error(f"{root} is not empty: labels of an earlier run would count again")
            return turn(Loop(root, arguments.seed), count=arguments.labels)
    except HubError as error:
        say(f"{error}\nNothing outside this benchmark's own folder was changed.")
        return 1


if __name__ == "__main__":
    sys.exit(main())
