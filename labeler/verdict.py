"""Whether a challenger is published: what its IoUs say beside the champion's."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from labeler.training import RoundResult

FEW_PAIRS = 5  # below this many holdout pairs their spread says nothing
ASSUMED_SPREAD = 0.05  # standard deviation of a paired IoU difference where it cannot be estimated
# Mean IoU by which a challenger may be below on images the champion was trained on: it shares its steps among more.
RECALL_SLACK = 0.01


def is_published(result: RoundResult, *, right_from: float) -> bool:
    """Whether a challenger takes the champion's place; ``right_from`` is the IoU below which a mask is wrong."""
    few = result.champion_ious is not None and len(result.challenger_ious) < FEW_PAIRS
    return not_worse(*evidence(result), right_from=right_from, slack=RECALL_SLACK if few and result.recalled else 0.0)


def evidence(result: RoundResult) -> tuple[Sequence[float], Sequence[float] | None]:
    """IoUs of challenger and champion to compare: of the holdout; while that is small, of the core both know too."""
    ours, theirs = result.challenger_ious, result.champion_ious
    if theirs is None or len(ours) >= FEW_PAIRS:
        return ours, theirs
    return (*ours, *(pair[0] for pair in result.recalled)), (*theirs, *(pair[1] for pair in result.recalled))


def not_worse(
    challenger: Sequence[float], champion: Sequence[float] | None, *, right_from: float = 0.0, slack: float = 0.0
) -> bool:
    """True unless the challenger's IoUs are below the champion's by more than one standard error (paired) or ``slack``.

    Neither may they be lower at all while more images are newly wrong than newly right (IoU below ``right_from``):
    a single image that was lost widens the standard error by which it would be excused.
    """
    if not champion or len(challenger) != len(champion):
        return bool(np.isfinite(challenger).all())
    difference = np.asarray(challenger) - np.asarray(champion)
    spread = ASSUMED_SPREAD if len(difference) < FEW_PAIRS else float(difference.std(ddof=1))
    lost = np.count_nonzero(np.asarray(challenger) < right_from) - np.count_nonzero(np.asarray(champion) < right_from)
    if lost > 0 and difference.mean() < 0:
        return False
    return bool(difference.mean() >= -max(slack, spread / math.sqrt(len(difference))))


def mean(ious: Sequence[float] | None) -> float | None:
    """Mean plain IoU; None where there is none."""
    return float(np.mean(ious)) if ious else None


def sentence(version: int, published: bool, ours: float | None, theirs: float | None) -> str:
    """What became of a round, for a person."""
    if ours is None:
        return f"Model v{version} is in use; there is no holdout yet to judge it by."
    if theirs is None:
        return f"Model v{version} is in use: mean IoU {ours:.3f} on the holdout."
    if published:
        return f"Model v{version} is in use: mean IoU {ours:.3f} on the holdout, {theirs:.3f} before."
    why = f"mean IoU {ours:.3f} on the holdout, {theirs:.3f} before"
    if ours >= theirs:
        why += ", but worse on what the old one had learnt"
    return f"Model v{version} was not published: {why}. The old model stays."
