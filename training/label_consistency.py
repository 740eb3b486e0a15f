"""The label-consistency gate: are the new labels what people said, or are they poisoned? Pure.

A light model (training/least_squares.py) on frozen sentence vectors says how well each label fits
its query. Two poisons hide from two models, so it looks twice:

- *Noise* shows in cross-validation: a label is judged by what the champion was trained on and by
  all the *other* new labels. A drifted query ("is the Crossing on a Saturday?") looks odd to who
  never met its words; the other labels teach them. Each label is a fold of its own, so nothing is
  drawn, and the same labels always get the same answer.
- *A swap* would teach itself in the same way, so it is looked for by the earlier queries alone.
  Those need not know the right one of all intents: only which of *two* is nearer.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from contracts.text import digest
from training.examples import Example
from training.label_limits import (
    FAR,
    FEWEST_TAKEN_OVER,
    HONEST_PAIR,
    MOST_CHANCE,
    MOST_NOISE,
    MOST_PAIR_SWAPPED,
    MOST_TAKEN_OVER,
    SUSPECT_MARGIN,
)
from training.least_squares import Columns, Scores, Solved, sums_of
from training.split import Encode

_WEIGHT_OF_NEW: Final = 6.0
"""A new label counts as six earlier ones: there are few of them, and they alone know the drift."""

_CONFUSIONS: Final = 10


@dataclass(frozen=True, slots=True)
class Suspect:
    """A label that a reviewer should look at again; `margin` is how much better `likelier` fits."""

    text: str
    given: str
    likelier: str
    margin: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """How many of the suspects are labelled `given` where `likelier` fits best."""

    given: str
    likelier: str
    count: int


@dataclass(frozen=True, slots=True)
class ConsistencyDecision:
    """Whether the labels may be trained on, and every reason why not.

    `noise_share` estimates which share of the labels has nothing to do with its query. `suspects`
    are ordered from the most doubtful.
    """

    passed: bool
    reasons: tuple[str, ...]
    judged: int
    noise_share: float
    confusions: tuple[Confusion, ...]
    suspects: tuple[Suspect, ...]

    def artifact(self) -> dict[str, Any]:
        """Return the decision as JSON; of the suspects the texts' digests only."""
        return {
            "passed": self.passed,
            "reasons": list(self.reasons),
            "judged": self.judged,
            "noise_share": round(self.noise_share, 4),
            "most_noise": MOST_NOISE,
            "confusions": [
                {"given": one.given, "likelier": one.likelier, "count": one.count}
                for one in self.confusions
            ],
            "suspects": [digest(one.text) for one in self.suspects],
        }


def check_consistency(
    labels: Sequence[Example],
    *,
    earlier: Sequence[Example],
    encode: Encode,
    known: Sequence[Example] = (),
) -> ConsistencyDecision:
    """Say whether new labels agree with each other and with what is known.

    `earlier` is what the champion was trained on, `known` what it was chosen and judged by;
    `encode` gives unit vectors. A label that either holds already is not judged again: among many
    old ones a few that are poisoned would not stand out. Without labels, or with fewer than two
    earlier intents, nothing can be compared and the gate stays closed.
    """
    if not labels or len({example.intent for example in earlier}) < 2:
        missing = "new labels" if not labels else "earlier queries of two intents"
        return _closed(f"consistency: no {missing} to compare")
    old = {(example.digest, example.intent) for example in (*earlier, *known)}
    labels = [label for label in labels if (label.digest, label.intent) not in old]
    if not labels:
        return ConsistencyDecision(True, (), 0, 0.0, (), ())
    names = sorted({example.intent for example in (*earlier, *labels)})
    trusted = sums_of(earlier, names=names, encode=encode)
    new = sums_of(labels, names=names, encode=encode)
    alone = Solved(trusted.products, trusted.targets)
    before = new.inputs @ alone.weights
    together = Solved(
        trusted.products + _WEIGHT_OF_NEW * new.products,
        trusted.targets + _WEIGHT_OF_NEW * new.targets,
    )
    scores = together.left_out(new, weight=_WEIGHT_OF_NEW)
    # What is far among queries whose labels are trusted is no noise: some queries are just odd.
    odd = _far(alone.left_out(trusted, weight=1.0), trusted.columns).mean()
    noise, reasons = _noise(_far(scores, new.columns), odd=float(odd), intents=len(names))
    seen = sorted({names.index(example.intent) for example in earlier})
    swaps, swapped = _swaps(before, new.columns, seen=seen, names=names)
    reasons += swaps or _takeovers(before, new.columns, seen=seen, names=names)
    # A swap has taught itself to the model of all labels: the earlier queries know better.
    scores[swapped] = before[swapped]
    suspects, confusions = _suspects(labels, scores, new.columns, names=names)
    return ConsistencyDecision(
        not reasons, tuple(reasons), len(labels), noise, confusions, suspects
    )


def _closed(reason: str) -> ConsistencyDecision:
    return ConsistencyDecision(False, (reason,), 0, 0.0, (), ())


def _own(scores: Scores, columns: Columns) -> Scores:
    return scores[np.arange(len(columns)), columns]


def _far(scores: Scores, columns: Columns) -> NDArray[np.bool_]:
    """Say of each label whether a quarter of the intents fits its query better."""
    better = (scores > _own(scores, columns)[:, None]).sum(axis=1)
    return np.asarray(better >= _quarter(scores.shape[1]))


def _quarter(intents: int) -> int:
    return max(1, int(FAR * intents))


def _noise(far: NDArray[np.bool_], *, odd: float, intents: int) -> tuple[float, list[str]]:
    """Return which share of labels by chance makes so many of them far, and what is to say."""
    # A label by chance is any of the intents that are not the query's own.
    more = max((intents - _quarter(intents)) / (intents - 1) - odd, 1e-6)
    noise = float(np.clip((far.mean() - odd) / more, 0.0, 1.0))
    if _by_chance(int(far.sum()), of=len(far), rate=odd + MOST_NOISE * more):
        return noise, []
    return noise, [
        f"noise: about {noise:.0%} of {len(far)} labels have nothing to do with their queries,"
        f" at most {MOST_NOISE:.0%} may"
    ]


def _by_chance(count: int, *, of: int, rate: float) -> bool:
    """Say whether honest people may well come to such a count."""
    return bool(binom.sf(count - 1, of, rate) > MOST_CHANCE)


def _swaps(
    before: Scores, columns: Columns, *, seen: Sequence[int], names: Sequence[str]
) -> tuple[list[str], Columns]:
    """Return what looks swapped in words, worst first, and the rows of those intents."""
    found: list[tuple[float, str]] = []
    rows: list[int] = []
    for one, two in combinations(seen, 2):
        shares, wrong, pair = [], 0, []
        for mine, other in ((one, two), (two, one)):
            own = np.flatnonzero(columns == mine)
            strange = int((before[own, other] > before[own, mine]).sum())
            shares.append(strange / max(1, len(own)))
            wrong += strange
            pair.append(own)
        count = len(pair[0]) + len(pair[1])
        if np.mean(shares) > MOST_PAIR_SWAPPED and not _by_chance(
            wrong, of=count, rate=HONEST_PAIR
        ):
            found.append(
                (
                    -float(np.mean(shares)),
                    f"swap: {names[one]} and {names[two]} look swapped, {wrong} of their {count}"
                    " labels would fit better the other way round",
                )
            )
            rows += [*pair[0].tolist(), *pair[1].tolist()]
    return [sentence for _, sentence in sorted(found)], np.array(sorted(set(rows)), dtype=np.intp)


def _takeovers(
    before: Scores, columns: Columns, *, seen: Sequence[int], names: Sequence[str]
) -> list[str]:
    """Say which intents seem to have been labelled as another one throughout."""
    alike = np.asarray(seen, dtype=np.intp)[before[:, list(seen)].argmax(axis=1)]
    reasons = []
    for looks in seen:
        given = Counter(columns[alike == looks].tolist())
        own = given.pop(looks, 0)
        if not given:
            continue
        (label, count), *_ = given.most_common(1)
        if count >= FEWEST_TAKEN_OVER and count >= MOST_TAKEN_OVER * (count + own):
            reasons.append(
                f"takeover: {count} queries that look like {names[looks]} are labelled"
                f" {names[int(label)]}, and only {own} {names[looks]}"
            )
    return reasons


def _suspects(
    labels: Sequence[Example], scores: Scores, columns: Columns, *, names: Sequence[str]
) -> tuple[tuple[Suspect, ...], tuple[Confusion, ...]]:
    best = scores.argmax(axis=1)
    margins = scores.max(axis=1) - _own(scores, columns)
    suspects = tuple(
        Suspect(
            labels[row].text,
            labels[row].intent,
            names[int(best[row])],
            round(float(margins[row]), 3),
        )
        for row in np.argsort(-margins, kind="stable")
        if margins[row] >= SUSPECT_MARGIN
    )
    pairs = Counter((one.given, one.likelier) for one in suspects).most_common(_CONFUSIONS)
    return suspects, tuple(Confusion(given, likelier, count) for (given, likelier), count in pairs)
