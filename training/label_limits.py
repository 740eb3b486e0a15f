"""What decides whether labels are poisoned, in one place (see docs/decisions/0018).

Chosen on draws with seeds 1000 to 5999 from data/drift (100 to 600 labels of 22 intents); the proof
in tests/integration/test_label_poison.py draws others.
"""

from typing import Final

MOST_NOISE: Final = 0.15
"""Share of labels that have nothing to do with their queries; half of what must be stopped. People
who are wrong in 5 of 100 seem to give 0.04 of 600 labels, and 0.12 of 100, too few to teach each
other the drift; when 30 in 100 are drawn by chance, it is 0.32 and 0.39."""

MOST_PAIR_SWAPPED: Final = 0.5
"""Share of two intents' labels that would fit better the other way round. By chance alone it is a
half; honest drift gave at most 0.34 for the worst of 231 pairs, a swap at least 0.66."""

MOST_TAKEN_OVER: Final = 0.8
"""Of the queries that look like one intent and are labelled it or one certain other: the share of
the other. Honest drift gave at most 0.5."""

HONEST_PAIR: Final = 0.35
"""As many of a pair's labels fit better the other way round, at worst, in an honest set."""

MOST_CHANCE: Final = 0.01
"""A few labels are over a limit by chance: the gate closes when that happens once in a hundred
times to labels that just keep to MOST_NOISE, or are as odd as HONEST_PAIR."""

FEWEST_TAKEN_OVER: Final = 8
"""Of an intent that few asked about, five look-alikes of a neighbour have been seen by chance."""

FAR: Final = 0.25
"""A label is far from its query when a quarter of all intents fit better: honest mistakes confuse
neighbours, chance does not."""

SUSPECT_MARGIN: Final = 0.2
"""How much better another intent must fit for a label to be worth a second look: a tenth of the
labels then holds six in ten of people's errors."""
