"""What accepting without a look can have cost: upper bounds on the number of wrong accepted masks.

A mask is wrong where its IoU with the person's mask is below the threshold t. Three statements, each with its own
assumptions: at any time from coins (``wrong_at_most``), once on a frozen set (``frozen_wrong_at_most``), and a
threshold with a guarantee (``certified_threshold``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv, betaln
from scipy.stats import binom, hypergeom

PRIOR = 0.5  # both shapes of the beta mixture over the share of heads
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Audited:
    """What is known of the accept events of one epoch or stratum.

    ``accepted`` events in all, ``heads`` of them drawn by coins of probability ``rate``, ``wrong`` heads that a person
    found wrong and mended, ``unfinished`` heads that nobody has answered.
    """

    accepted: int
    heads: int
    wrong: int
    unfinished: int
    rate: float
    epoch: int = 1


@dataclass(frozen=True, slots=True)
class Bound:
    """With probability ``1 - alpha``: at most ``events`` wrong accept events, ``left`` of them not found and mended."""

    events: int
    left: int
    accepted: int
    wrong: int
    unfinished: int
    alpha: float

    @property
    def share(self) -> float:
        """Upper bound of the share of wrong masks among the accepted, 0..1."""
        return self.left / self.accepted if self.accepted else 0.0


def log_e_value(events: int, found: int, rate: float) -> float:
    """Logarithm of the evidence that ``events`` wrong masks would have shown more than ``found`` heads.

    A mixture over all shares of heads below ``rate`` of the likelihood ratio against coins of that rate. While the
    number of wrong events is ``events``, this stays below log(1/alpha) for ever with probability 1 - alpha (Ville's
    inequality), whatever models and data do in between. It grows with ``events``.
    """
    missed = events - found
    mass = float(betainc(PRIOR + found, PRIOR + missed, rate))
    if mass == 0.0:  # far more heads than the rate gives: no evidence for more wrong masks
        return -math.inf
    mixed = float(betaln(PRIOR + found, PRIOR + missed)) + math.log(mass)
    prior = float(betaln(PRIOR, PRIOR)) + math.log(float(betainc(PRIOR, PRIOR, rate)))
    return mixed - prior - found * math.log(rate) - missed * math.log1p(-rate)


def wrong_at_most(found: int, *, rate: float, alpha: float = ALPHA, limit: int | None = None, missed: float = 0) -> int:
    """F_U: the most wrong accept events that fit to ``found`` wrong heads, at any time, under retraining and drift.

    ``missed`` is the share of wrong masks that the auditor lets pass; ``limit`` the number of accept events.
    ValueError for a rate that is no probability.
    """
    rate *= 1 - missed
    if not 0 < rate <= 1:
        raise ValueError(f"a coin of probability {rate:g} shows nothing")
    if limit is not None and (limit <= found or rate == 1):
        return min(limit, found)
    if rate == 1:
        return found
    level = math.log(1 / alpha)
    return _last(found, limit, lambda events: log_e_value(events, found, rate) < level)


def _last(low: int, limit: int | None, holds: Callable[[int], bool]) -> int:
    """The last number from ``low`` to ``limit`` for which ``holds``, which turns from true to false once."""
    step = 1
    while (limit is None or low + step <= limit) and holds(low + step):
        low, step = low + step, 2 * step
    high = low + step if limit is None else min(low + step, limit + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def epoch_alpha(epoch: int, alpha: float = ALPHA) -> float:
    """The part of ``alpha`` that epoch 1, 2, ... may spend: 6 alpha / (pi e)^2; they sum to ``alpha``."""
    return 6 * alpha / (math.pi * epoch) ** 2


def bound(parts: Sequence[Audited], *, alpha: float = ALPHA, missed: float = 0) -> Bound:
    """G1 over epochs (each with the rate that was valid in it): the sum of their bounds holds with 1 - ``alpha``.

    An unfinished audit counts as wrong.
    """
    events = sum(
        wrong_at_most(
            part.wrong + part.unfinished,
            rate=part.rate,
            alpha=epoch_alpha(part.epoch, alpha),
            limit=part.accepted,
            missed=missed,
        )
        for part in parts
    )
    wrong = sum(part.wrong for part in parts)
    accepted = sum(part.accepted for part in parts)
    return Bound(events, events - wrong, accepted, wrong, sum(part.unfinished for part in parts), alpha)


def strata_bounds(strata: Sequence[Sequence[Audited]], *, alpha: float = ALPHA, missed: float = 0) -> list[Bound]:
    """G1 of H strata, which hold together with 1 - ``alpha``: each at ``alpha`` / H."""
    return [bound(parts, alpha=alpha / len(strata), missed=missed) for parts in strata]


def frozen_wrong_at_most(found: int, *, audits: int, accepted: int, alpha: float = ALPHA) -> int:
    """G1': the most wrong masks among ``accepted``, of which ``audits`` (fixed beforehand) were drawn, ``found`` wrong.

    max{F : HypergeomCDF(found; accepted, F, audits) > alpha}. Looking in between breaks it: use ``wrong_at_most``.
    """
    if not 0 <= found <= audits <= accepted:
        raise ValueError(f"{found} wrong in {audits} audits of {accepted} masks cannot be")
    top = accepted - (audits - found)  # those that were found right are right
    return _last(found, top, lambda events: float(hypergeom.cdf(found, accepted, events, audits)) > alpha)


def share_at_most(found: int, audits: int, *, alpha: float = ALPHA) -> float:
    """Clopper-Pearson: upper bound of the share of wrong masks in a stream of which ``audits`` were drawn."""
    return 1.0 if found >= audits else float(betaincinv(found + 1, audits - found, 1 - alpha))


def share_between(found: int, audits: int, *, alpha: float = ALPHA) -> tuple[float, float]:
    """Clopper-Pearson interval, both sides, of a share: for plots."""
    low = 0.0 if found == 0 else float(betaincinv(found, audits - found + 1, alpha / 2))
    return low, share_at_most(found, audits, alpha=alpha / 2)


def audits_needed(share: float, *, found: int = 0, alpha: float = ALPHA) -> int:
    """The fewest audits, ``found`` of them wrong, that show at most ``share`` wrong masks."""
    return _last(found, None, lambda audits: share_at_most(found, audits, alpha=alpha) > share) + 1


def certified_threshold(
    scores: NDArray[np.float64],
    wrong: NDArray[np.bool_],
    *,
    share: float,
    grid: Sequence[float],
    alpha: float = ALPHA,
) -> float | None:
    """G2: the loosest threshold of ``grid`` above which at most ``share`` of all masks are wrong, or None.

    Learn-then-Test with a fixed sequence (Angelopoulos et al. 2021): from strict to loose while
    BinomCDF(wrong above it; items above it, share) <= alpha; the first failure ends it. ``scores`` and ``wrong`` (n,)
    are of the holdout, whose items must come from the stream at random. Thresholds above which there are too few items
    to show anything are passed over, which looks at their number only.
    """
    chosen = None
    for threshold in sorted(grid, reverse=True):
        above = scores >= threshold
        count = int(above.sum())
        if chosen is None and (1 - share) ** count > alpha:
            continue
        if float(binom.cdf(int(wrong[above].sum()), count, share)) > alpha:
            break
        chosen = float(threshold)
    return chosen
