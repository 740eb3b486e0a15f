"""The one place where a calibrated confidence becomes an outcome, and an outcome a sentence."""

from typing import Final, Literal

OUT_OF_SCOPE: Final = "out_of_scope"

REPHRASE_BELOW: Final = 0.40
ANSWER_FROM: Final = 0.60
AMBIGUOUS_WITHIN: Final = 0.15

Outcome = Literal["answered", "confused", "rephrase"]
ConfusedBecause = Literal["degraded", "low_confidence", "out_of_scope", "ambiguous"]

MESSAGES: Final[dict[Outcome, str | None]] = {
    "answered": None,
    "confused": "I'm not sure, but here is what I found...",
    "rephrase": "Could you rephrase that?",
}


def decide(
    intent: str | None, *, confidence: float | None, runner_up: float | None
) -> tuple[Outcome, ConfusedBecause | None]:
    """Say what to do with a prediction: the outcome, and why it is not an answer (or None).

    `intent` and `confidence` are None when no classifier answered. `confidence` and `runner_up`
    are calibrated probabilities in [0, 1], rounded as the client will read them, so that the
    number shown and the decision never disagree. The first rule that matches decides.
    """
    if intent is None or confidence is None:
        return "confused", "degraded"
    if confidence < REPHRASE_BELOW:
        return "rephrase", "low_confidence"
    if intent == OUT_OF_SCOPE:
        return "confused", "out_of_scope"
    if confidence < ANSWER_FROM:
        is_close = runner_up is not None and round(confidence - runner_up, 6) <= AMBIGUOUS_WITHIN
        return "confused", "ambiguous" if is_close else "low_confidence"
    return "answered", None
