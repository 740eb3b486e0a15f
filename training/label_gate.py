"""The label gate: are there enough verified labels, and enough new ones, for a retraining? Pure."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from contracts.records import VerifiedLabel
from contracts.text import digest

REAL: Final = "real"


@dataclass(frozen=True, slots=True)
class LabelDecision:
    """Whether the gate is open, why not, and which labels count, each question once.

    `coverage` is the number of counting labels of each intent, of those without any as well.
    """

    passed: bool
    reasons: tuple[str, ...]
    counted: tuple[VerifiedLabel, ...]
    new: int
    coverage: dict[str, int]


def decide_labels(
    labels: Sequence[VerifiedLabel],
    *,
    intents: Sequence[str],
    needed: int,
    used: Collection[str] = (),
    least_new: int = 100,
    is_demo: bool = False,
) -> LabelDecision:
    """Count what may be trained on, and say whether it is more than `needed`.

    One question counts once, however often it was asked: its near-duplicates were folded into one
    item, and items with the same normalised text are one here (the one verified last). `used`
    holds the text digests that the champion was trained on: a nightly job must not train on the
    same labels again. Simulated labels count only in a demo hub. A label whose intent is none of
    `intents` counts for nothing and is named.
    """
    known = [one for one in labels if one.intent in intents]
    strange = Counter(one.intent for one in labels if one.intent not in intents)
    real = [one for one in known if is_demo or one.source == REAL]
    latest = {digest(one.query_text): one for one in sorted(real, key=lambda one: one.verified_at)}
    counted = tuple(latest.values())
    new = sum(key not in used for key in latest)
    reasons = []
    if len(counted) <= needed:
        reasons.append(f"not yet: {len(counted)} of {needed + 1} verified labels")
        if not is_demo and len(real) < len(known):
            reasons[-1] += f" ({len(known) - len(real)} simulated ones do not count)"
    if new < least_new:
        reasons.append(f"not yet: {new} of {least_new} labels that the champion does not know")
    if strange and reasons:
        names = ", ".join(f"{intent} ({count})" for intent, count in sorted(strange.items()))
        reasons.append(f"left out, for the hub has no such intent: {names}")
    coverage = Counter(one.intent for one in counted)
    return LabelDecision(
        passed=len(counted) > needed and new >= least_new,
        reasons=tuple(reasons),
        counted=counted,
        new=new,
        coverage={intent: coverage[intent] for intent in intents},
    )
