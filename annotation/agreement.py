"""How far reviewers agree beyond chance: Cohen's kappa, for all intents and for each."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from contracts.records import Label

Pair = tuple[str, str]
"""What two reviewers said of one item."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two or more reviewers agree on one intent, or on all of them (`intent` is None).

    `items` are those that at least one of a pair gave this intent, counted once a pair; `share` of
    them were given it by both. `kappa` is 1 for always agreeing, 0 for what chance alone would
    give, and None where chance cannot be told from agreement: everybody always said the same.
    """

    intent: str | None
    items: int
    share: float
    kappa: float | None


def cohen_kappa(pairs: Sequence[Pair]) -> float | None:
    """Return Cohen's kappa of two raters over the items that both rated; None where undefined."""
    if not pairs:
        return None
    agreed = sum(first == second for first, second in pairs)
    firsts = Counter(first for first, _ in pairs)
    seconds = Counter(second for _, second in pairs)
    # Whole numbers until the division, so that "always the same" is exact.
    by_chance = sum(count * seconds[said] for said, count in firsts.items())
    of = len(pairs)
    if by_chance == of * of:
        return None
    return (agreed * of - by_chance) / (of * of - by_chance)


def measure_agreement(labels: Iterable[Label]) -> list[Agreement]:
    """Return the agreement over all intents, then that on each intent, by name.

    `labels` are those that stand. Kappa is Cohen's for each two reviewers with items in common,
    averaged with the number of those items as weight (Light's kappa); an intent's is that of "this
    intent or not". Empty when no item has labels of two people.
    """
    by_raters = _pairs(labels)
    if not by_raters:
        return []
    everything = [pair for pairs in by_raters.values() for pair in pairs]
    agreed = sum(first == second for first, second in everything)
    overall = Agreement(
        None, len(everything), agreed / len(everything), _mean_kappa(list(by_raters.values()))
    )
    intents = sorted({said for pair in everything for said in pair})
    return [overall, *(_on(intent, by_raters=list(by_raters.values())) for intent in intents)]


def _on(intent: str, *, by_raters: list[list[Pair]]) -> Agreement:
    given = [pair for pairs in by_raters for pair in pairs if intent in pair]
    both = sum(pair == (intent, intent) for pair in given)
    either = [
        [("yes" if a == intent else "no", "yes" if b == intent else "no") for a, b in pairs]
        for pairs in by_raters
    ]
    return Agreement(intent, len(given), both / len(given), _mean_kappa(either))


def _mean_kappa(by_raters: list[list[Pair]]) -> float | None:
    """Return the mean over pairs of raters where it is defined, weighted by items in common."""
    known = [
        (kappa, len(pairs)) for pairs in by_raters if (kappa := cohen_kappa(pairs)) is not None
    ]
    weight = sum(items for _, items in known)
    return sum(kappa * items for kappa, items in known) / weight if weight else None


def _pairs(labels: Iterable[Label]) -> dict[tuple[str, str], list[Pair]]:
    """Return, for each two reviewers (by name), what both said of each item in common."""
    by_item: dict[str, dict[str, str]] = defaultdict(dict)
    for label in labels:
        by_item[label.item_id][label.reviewer] = label.intent
    by_raters: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for said in by_item.values():
        for first, second in combinations(sorted(said), 2):
            by_raters[first, second].append((said[first], said[second]))
    return dict(by_raters)
