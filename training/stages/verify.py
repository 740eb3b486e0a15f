"""Verify: what students get now is what was evaluated, or the version before comes back.

Asks test queries through the live ingress and compares each answer with the artifact's own. Reads
swap.json; writes verify.json. Exit status 7 when the two differ.
"""

import sys
import time
from collections.abc import Sequence
from typing import Any, Final

import httpx
import numpy as np

from contracts.settings import Settings
from models.classifier import IntentClassifier
from training.beside import Hub, hub_beside, simulated_session
from training.examples import Example
from training.stages.run import Exit, GateClosed, Report, RunFolder, run_alone
from training.stages.split import read_split
from training.stages.swap import take_over

QUERIES: Final = 100
LEAST_EQUAL: Final = 0.97
"""Share of answers that must be the artifact's own. Not all: dynamic int8 takes its scale from the
batch, so a query near the border between two intents may fall on either side beside others."""


def verify(run: RunFolder, settings: Settings, report: Report) -> None:
    """Compare live answers with the artifact's. Raises GateClosed, after the way back."""
    swapped = run.read("swap")
    if not swapped["swapped"]:
        run.write("verify", {"passed": None, "reasons": ["nothing was swapped"]})
        return
    version: str = swapped["version"]
    hub = hub_beside(settings.home_dir)
    reasons: list[str] = []
    found: dict[str, Any] = {}
    if hub is None:
        reasons.append("the hub that served it has stopped")
    else:
        examples = read_split(run)[0]["test"][:QUERIES]
        try:
            found = _ask(hub, examples, settings=settings)
        except httpx.HTTPError as error:
            reasons.append(f"the hub does not answer: {error}")
        else:
            mine = IntentClassifier(run.candidate)
            expected = [mine.predict([example.text])[0].intent for example in examples]
            equal = sum(one == other for one, other in zip(found["intents"], expected, strict=True))
            strange = sorted({str(one) for one in found["versions"]} - {version})
            if strange:
                reasons.append(f"answers came from {', '.join(strange)}, too")
            if equal < LEAST_EQUAL * len(examples):
                reasons.append(f"only {equal} of {len(examples)} answers are the artifact's own")
            found = {"queries": len(examples), "equal": equal, "p95_ms": found["p95_ms"]}
    run.write("verify", {"passed": not reasons, "reasons": reasons, **found})
    if reasons:
        if hub is not None:
            previous: str = swapped["previous"]
            report(f"verify: going back to {previous}")
            take_over(
                previous,
                run=run,
                hub=hub,
                settings=settings,
                because=" was not what was evaluated",
                report=report,
            )
        raise GateClosed(Exit.NOT_LIVE, reasons)
    report(
        f"verify: {found['equal']} of {found['queries']} live answers are the artifact's own,"
        f" p95 {found['p95_ms']:.0f} ms; {version} serves"
    )


def _ask(hub: Hub, examples: Sequence[Example], *, settings: Settings) -> dict[str, Any]:
    """Ask in a session that is nobody's; return intents, versions and the p95 in ms."""
    intents, versions, taken = [], [], []
    headers = {"X-Hub-Session": simulated_session(settings)}
    with httpx.Client(base_url=hub.url, headers=headers, timeout=30.0) as client:
        for example in examples:
            began = time.perf_counter()
            response = client.post("/v1/query", json={"text": example.text})
            taken.append((time.perf_counter() - began) * 1e3)
            answer = response.raise_for_status().json()
            intents.append(answer["intent"])
            versions.append(answer["model_version"])
    return {"intents": intents, "versions": versions, "p95_ms": float(np.percentile(taken, 95))}


if __name__ == "__main__":
    sys.exit(run_alone(verify))
