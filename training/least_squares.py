"""A light classifier: regularised least squares on sentence vectors, one column an intent.

It learns thousands of queries in a moment, twice the same, and its leave-one-out scores have a
closed form. Every intent weighs the same, whatever students ask about most. On the drifted
queries it is as good as a logistic regression, at a tenth of the time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.examples import Example
from training.split import Encode

Scores = NDArray[np.float64]
Columns = NDArray[np.intp]

_RIDGE: Final = 3.0


@dataclass(frozen=True, slots=True)
class Sums:
    """Labelled queries as least squares sees them.

    `inputs` are the vectors and a one, shape (queries, dims + 1); `columns` the intents' numbers,
    `balance` what each query counts for; `products` and `targets` are the weighed sums.
    """

    inputs: Scores
    columns: Columns
    balance: Scores
    products: Scores
    targets: Scores


def sums_of(examples: Sequence[Example], *, names: Sequence[str], encode: Encode) -> Sums:
    """Embed labelled queries and add up what least squares needs of them."""
    vectors = np.asarray(encode([example.text for example in examples]), dtype=np.float64)
    inputs = np.hstack([vectors, np.ones((len(vectors), 1))])
    columns = np.array([names.index(example.intent) for example in examples], dtype=np.intp)
    counts = np.bincount(columns, minlength=len(names))
    # Every intent weighs the same, whatever students happen to ask about most.
    balance = (len(columns) / (np.count_nonzero(counts) * counts[columns])).astype(np.float64)
    weighed = inputs * balance[:, None]
    return Sums(
        inputs, columns, balance, weighed.T @ inputs, weighed.T @ np.eye(len(names))[columns]
    )


class Solved:
    """The model: `weights` has shape (dims + 1, intents), a score near 1 says yes, near 0 no."""

    def __init__(self, products: Scores, targets: Scores) -> None:
        penalty = np.full(len(products), _RIDGE)
        penalty[-1] = 1e-6  # the last input is the one: what is common is not shrunk
        self._inverse = np.linalg.inv(products + np.diag(penalty))
        self.weights: Scores = self._inverse @ targets

    def left_out(self, sums: Sums, *, weight: float) -> Scores:
        """Return the scores that each query gets from a model that never saw its own label.

        `weight` is what these queries counted for when this was solved. Shape (queries, intents).
        """
        fitted = sums.inputs @ self.weights
        pull = (
            weight * sums.balance * np.einsum("ij,ij->i", sums.inputs @ self._inverse, sums.inputs)
        )
        own = np.eye(fitted.shape[1])[sums.columns]
        return np.asarray((fitted - pull[:, None] * own) / (1.0 - pull)[:, None])
