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

from contracts.text import digest
from training.examples import Example
from training.least_squares import Columns, Scores, Solved, sums_of
from training.split import Encode

# What decides, in one place. Chosen on seeds 1000 to 5999 over data/drift (560 labels, 22 intents);
# the proof in tests/integration/test_label_poison.py draws others.
MOST_NOISE: Final = 0.15
"""Half of the noise that must be stopped: people who are wrong in 5 of 100 give about 0.03 here,
labels of which 30 in 100 are drawn by chance about 0.30."""

MOST_PAIR_SWAPPED: Final = 0.5
"""Share of two intents' labels that would fit better the other way round. By chance alone it is a
half; honest drift gave at most 0.34 for the worst of 231 pairs, a swap at least 0.66."""

MOST_TAKEN_OVER: Final = 0.8
"""Of the queries that look like one intent and are labelled it or one certain other: the share of
the other. Honest drift gave at most 0.5."""

FEWEST_OF_A_PAIR: Final = 6
"""An intent with fewer labels tells nothing about a swap."""

FEWEST_TAKEN_OVER: Final = 8
"""Of an intent that few asked about, five look-alikes of a neighbour have been seen by chance."""

FAR: Final = 0.25
"""A label is far from its query when a quarter of all intents fit better: honest mistakes confuse
neighbours, chance does not."""

SUSPECT_MARGIN: Final = 0.2
"""How much better another intent must fit for a label to be worth a second look: a tenth of the
labels then holds six in ten of people's errors."""

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
    labels: Sequence[Example], *, earlier: Sequence[Example], encode: Encode
) -> ConsistencyDecision:
    """Say whether new labels agree with each other and with what is known.

    `earlier` is what the champion was trained on; `encode` gives unit vectors. Without labels, or
    with fewer than two earlier intents, nothing can be compared and the gate stays closed.
    """
    if not labels or len({example.intent for example in earlier}) < 2:
        missing = "new labels" if not labels else "earlier queries of two intents"
        return ConsistencyDecision(
            False, (f"consistency: no {missing} to compare",), len(labels), 0.0, (), ()
        )
    names = sorted({example.intent for example in (*earlier, *labels)})
    known, new = (
        sums_of(earlier, names=names, encode=encode),
        sums_of(labels, names=names, encode=encode),
    )
    alone = Solved(known.products, known.targets)
    before = new.inputs @ alone.weights
    together = Solved(
        known.products + _WEIGHT_OF_NEW * new.products,
        known.targets + _WEIGHT_OF_NEW * new.targets,
    )
    scores = together.left_out(new, weight=_WEIGHT_OF_NEW)
    # What is far among queries whose labels are trusted is no noise: some queries are just odd.
    odd = _share_far(alone.left_out(known, weight=1.0), known.columns)
    noise = _noise(_share_far(scores, new.columns), odd=odd, intents=len(names))
    seen = sorted({names.index(example.intent) for example in earlier})
    swaps, swapped = _swaps(before, new.columns, seen=seen, names=names)
    reasons = []
    if not noise <= MOST_NOISE:
        reasons.append(
            f"noise: about {noise:.0%} of {len(labels)} labels have nothing to do with their"
            f" queries, at most {MOST_NOISE:.0%} may"
        )
    reasons += swaps or _takeovers(before, new.columns, seen=seen, names=names)
    # A swap has taught itself to the model of all labels: the earlier queries know better.
    scores[swapped] = before[swapped]
    suspects, confusions = _suspects(labels, scores, new.columns, names=names)
    return ConsistencyDecision(
        not reasons, tuple(reasons), len(labels), noise, confusions, suspects
    )


def _own(scores: Scores, columns: Columns) -> Scores:
    return scores[np.arange(len(columns)), columns]


def _share_far(scores: Scores, columns: Columns) -> float:
    """Return the share of labels that are far: a quarter of the intents fits better."""
    better = (scores > _own(scores, columns)[:, None]).sum(axis=1)
    return float((better >= _far(scores.shape[1])).mean())


def _far(intents: int) -> int:
    return max(1, int(FAR * intents))


def _noise(far: float, *, odd: float, intents: int) -> float:
    """Return which share of labels drawn by chance makes so many of them far."""
    # A label by chance is any of the intents that are not the query's own.
    by_chance = (intents - _far(intents)) / (intents - 1)
    return float(np.clip((far - odd) / max(by_chance - odd, 1e-6), 0.0, 1.0))


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
        if min(map(len, pair)) >= FEWEST_OF_A_PAIR and np.mean(shares) > MOST_PAIR_SWAPPED:
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
