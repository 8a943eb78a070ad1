"""Has the stream changed? A betting test against exchangeability on the scores of images at first sight.

Conformal p-values are uniform while the images keep coming from the same source, whatever that is; the capital of a
bettor who bets against that is a martingale then, and reaches 1/alpha with probability alpha at most, at any time
(Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World, chapter 8; the bettor is its Simple Jumper).
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable

FALSE_ALARM = 0.01  # probability that a stream that never changes ever raises the alarm
JUMPS = (1e-4, 1e-3, 1e-2)  # the bettor's shares of capital moved between bets at each step; their mean is bet
BETS = (-1.0, 0.0, 1.0)  # low scores come too often, nothing, high ones do


class Watch:
    """Capital of the bettor; scores are compared within one model version only.

    An image counts once, with the score of the model in use when it came: images that were labelled since are trained
    on, and those that were not are a choice of the easy ones, so that later scores of either say nothing.
    """

    def __init__(self) -> None:
        self._seen: list[float] = []
        self._version: int | None = None
        self._wealth = [[1 / len(BETS)] * len(BETS) for _ in JUMPS]
        self._shift = 0.0  # logarithm of what was divided out of the wealth to keep it in range
        self.count = 0

    @property
    def log_capital(self) -> float:
        """Natural logarithm of the capital now; the bettor starts with 0."""
        return self._shift + math.log(sum(map(sum, self._wealth)) / len(JUMPS))

    @property
    def alarmed(self) -> bool:
        """Whether the capital is at 1/FALSE_ALARM: the stream is not what it was."""
        return self.log_capital >= -math.log(FALSE_ALARM)

    def observe(self, version: int, score: float, tie: float) -> float:
        """Bet on one score at first sight; ``tie`` is uniform in 0..1 and breaks ties. The new ``log_capital``."""
        if not math.isfinite(score) or not 0 <= tie <= 1:
            raise ValueError(f"a score of {score} with a tie of {tie}")
        if version != self._version:
            self._seen, self._version = [], version
        below, upto = bisect.bisect_left(self._seen, score), bisect.bisect_right(self._seen, score)
        self._bet((below + tie * (upto - below + 1)) / (len(self._seen) + 1))
        self._seen.insert(upto, score)
        self.count += 1
        return self.log_capital

    def _bet(self, p: float) -> None:
        factors = [1 + bet * (p - 0.5) for bet in BETS]
        for index, jump in enumerate(JUMPS):
            wealth = self._wealth[index]
            share = jump * sum(wealth) / len(BETS)
            self._wealth[index] = [
                ((1 - jump) * amount + share) * factor for amount, factor in zip(wealth, factors, strict=True)
            ]
        total = sum(map(sum, self._wealth)) / len(JUMPS)
        if not 1e-100 < total < 1e100:
            self._wealth = [[amount / total for amount in wealth] for wealth in self._wealth]
            self._shift += math.log(total)


def capital(sights: Iterable[tuple[int, float, float]]) -> list[float]:
    """``log_capital`` after each sight (model version, score, tie), for a plot."""
    watch = Watch()
    return [watch.observe(*sight) for sight in sights]
