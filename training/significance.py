"""How much a comparison of two versions on one test set can tell. Reported, never decided by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from training.gate import MOST_POINTS_LOST, Judged

_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Significance:
    """The candidate's accuracy minus the champion's on the same items.

    `difference` and the 95 % interval `low`..`high` (bootstrap over items) are shares in [-1, 1];
    `p_value` is McNemar's exact test on the items that only one of them got right.
    """

    items: int
    difference: float
    low: float
    high: float
    only_champion_right: int
    only_candidate_right: int
    p_value: float

    @property
    def resolves_the_limit(self) -> bool:
        """Whether the set is large enough to tell a loss of the gate's limit from chance."""
        return self.high - self.low <= 2 * MOST_POINTS_LOST / 100


def compare(items: Sequence[Judged], *, seed: int = 0) -> Significance:
    """Compare two versions on the items that both were asked. Raises ValueError without any."""
    if not items:
        raise ValueError("nothing to compare: no items")
    change = np.array([i.candidate_is_right - i.champion_is_right for i in items], dtype=np.int64)
    lost, won = int((change < 0).sum()), int((change > 0).sum())
    # Resampling the three counts is resampling the items.
    shares = np.array([lost, len(items) - lost - won, won]) / len(items)
    drawn = np.random.default_rng(seed).multinomial(len(items), shares, size=_RESAMPLES)
    low, high = np.quantile((drawn[:, 2] - drawn[:, 0]) / len(items), [0.025, 0.975])
    return Significance(
        items=len(items),
        difference=float(change.mean()),
        low=float(low),
        high=float(high),
        only_champion_right=lost,
        only_candidate_right=won,
        p_value=float(binomtest(won, won + lost).pvalue) if won + lost else 1.0,
    )
