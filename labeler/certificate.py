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

Floats = NDArray[np.float64]
SMALLEST = 1e-290  # of what the incomplete beta function can tell from 0
SERIES_TERMS = 300
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


def log_e_value(events: int | Floats, found: int, rate: float) -> Floats:
    """Logarithm of the evidence that ``events`` (any shape) wrong masks would have shown more than ``found`` heads.

    A mixture over all shares of heads below ``rate`` of the likelihood ratio against coins of that rate. While the
    number of wrong events is ``events``, this stays below log(1/alpha) for ever with probability 1 - alpha (Ville's
    inequality), whatever models and data do in between. It grows with ``events``, faster and faster.
    """
    missed = np.asarray(events, float) - found
    a, b = PRIOR + found, PRIOR + missed
    log_mass = betaln(a, b) + _log_share_below(rate, a, b)
    prior = float(betaln(PRIOR, PRIOR)) + math.log(float(betainc(PRIOR, PRIOR, rate)))
    value: Floats = log_mass - prior - found * math.log(rate) - missed * math.log1p(-rate)
    return value


def _log_share_below(x: float, a: float, b: Floats) -> Floats:
    """Logarithm of the regularised incomplete beta function, also where it is nearly 0."""
    share = betainc(a, b, x)
    if (share >= SMALLEST).all():
        return np.asarray(np.log(share), float)
    # The series of 8.17.8 in the NIST Handbook; its terms fall fast where the share is that small.
    term = total = np.ones_like(b)
    for step in range(SERIES_TERMS):
        term = term * x * (a + b + step) / (a + 1 + step)
        total = total + term
        if (term < 1e-16 * total).all():
            break
    series = a * math.log(x) + b * math.log1p(-x) - math.log(a) - betaln(a, b) + np.log(total)
    return np.asarray(np.where(share < SMALLEST, series, np.log(np.maximum(share, SMALLEST))), float)


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
    return _last(found, limit, lambda events: bool(log_e_value(events, found, rate) < level))


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


def bound(parts: Sequence[Audited], *, alpha: float = ALPHA, missed: float = 0) -> Bound:
    """G1 over epochs, each with the rate that was valid in it. An unfinished audit counts as wrong.

    The coins of all epochs make one martingale, whatever has opened an epoch: their evidence is multiplied, and the
    bound is the largest sum of wrong events whose product stays below 1/alpha. So one epoch has all of ``alpha``, and
    another one costs next to nothing.
    """
    known = [(part.wrong + part.unfinished, part.rate * (1 - missed), part.accepted) for part in parts]
    if len(known) == 1:
        (found, rate, accepted), *_ = known
        events = wrong_at_most(found, rate=rate, alpha=alpha, limit=accepted)
    else:
        events = _most_events(known, math.log(1 / alpha))
    wrong = sum(part.wrong for part in parts)
    accepted = sum(part.accepted for part in parts)
    return Bound(events, events - wrong, accepted, wrong, sum(part.unfinished for part in parts), alpha)


def _most_events(parts: Sequence[tuple[int, float, int]], level: float) -> int:
    """max of sum(F) over F of the parts (found, rate, accepted) for which the sum of ``log_e_value`` < ``level``.

    Each further event costs more evidence than the last one of its part, so the cheapest ones are taken in turn.
    """
    settled = sum(min(found, accepted) for found, rate, accepted in parts if rate == 1 or accepted <= found)
    open_parts = [(found, rate, accepted) for found, rate, accepted in parts if rate < 1 and accepted > found]
    lowest = [float(log_e_value(found, found, rate)) for found, rate, _ in open_parts]
    costs = []
    for (found, rate, accepted), own in zip(open_parts, lowest, strict=True):
        spare = level - (sum(lowest) - own)
        top = wrong_at_most(found, rate=rate, alpha=math.exp(-spare), limit=accepted) if spare < 700 else accepted
        costs.append(np.diff(log_e_value(np.arange(found, top + 1, dtype=float), found, rate)))
    spent = sum(lowest) + np.cumsum(np.sort(np.concatenate([np.zeros(0), *costs])))
    return settled + sum(found for found, _, _ in open_parts) + int((spent < level).sum())


def strata_bounds(strata: Sequence[Sequence[Audited]], *, alpha: float = ALPHA, missed: float = 0) -> list[Bound]:
    """G1 of H strata, which hold together with 1 - ``alpha``: each at ``alpha`` / H."""
    return [bound(parts, alpha=alpha / len(strata), missed=missed) for parts in strata]


def frozen_wrong_at_most(found: int, *, audits: int, accepted: int, alpha: float = ALPHA) -> int:
    """G1': the most wrong masks among ``accepted``, of which ``audits`` (fixed beforehand) were drawn, ``found`` wrong.

    max{F : HypergeomCDF(found; accepted, F, audits) > alpha}. Looking in between breaks it: use ``wrong_at_most``.
    """
    if not 0 <= found <= audits <= accepted:
        raise ValueError(f"{found} wrong in {audits} audits of {accepted} masks cannot be")
    from scipy.stats import hypergeom  # a fifth of the time until the window is seen

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
    from scipy.stats import binom  # as above

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
