"""From the figures of a prediction to what they have meant on the holdout: expected IoU, and the chance to be wrong.

Both are monotone: what speaks for a mask never lowers its figures. A logistic model below 200 pairs, boosted trees
above. Nothing is fitted below 30 pairs. What was fitted is plain numbers in JSON, so that a model file can run no code
and the gate needs no scikit-learn.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeler.forest import Forest, UnreadableTrees, fit_forest
from labeler.logistic import Logistic, fit_logistic

FEWEST = 30  # holdout pairs below which nothing is said
TREES_FROM = 200
LARGEST_WEIGHT = 10.0  # of one pair beside the lightest: a probe of 1 in 50 would outvote all others
FEATURES: dict[str, int] = {  # name: 1 where more of it speaks for the mask, -1 against, 0 neither
    "soft_iou": 1,
    "stability": 1,
    "entropy": -1,
    "margin": 1,
    "least_confidence": -1,
    "root_area": 0,
    "components": 0,
    "largest": 0,
    "border": 0,
    "core_distance": -1,
    "kept": 1,
    "faults": -1,
    "sure": 1,
    "parts": 1,
    "thin": -1,
    "unexplained": -1,
    "look_distance": -1,
}
VIEWS: dict[str, int] = {
    "view_iou_mean": 1,
    "view_iou_min": 1,
    "view_parts": 1,
    "view_soft": 1,
}  # of the grey zone only
# Before calibrators kept the names of their features they had these.
_FIRST_FEATURES, _FIRST_VIEWS = tuple(FEATURES)[:11], tuple(VIEWS)[:2]
_AS_LOGIT = frozenset({"soft_iou", "stability", "kept", "sure", "parts", *VIEWS})
_AS_ROOT = frozenset({"unexplained", "look_distance"})


@dataclass(frozen=True, slots=True)
class Figures:
    """What one model version says of its prediction for one image; ``signals`` by name, see ``signals_of``."""

    soft_iou: float
    stability: float
    foreground: float
    signals: Mapping[str, float]

    @property
    def has_views(self) -> bool:
        """Whether more than one forward pass was spent on it."""
        return "view_iou_min" in self.signals


@dataclass(frozen=True, slots=True)
class Pair:
    """A prediction for a holdout image, its plain IoU with the person's mask, and how likely it was to be a pair."""

    figures: Figures
    iou: float
    seen: float = 1.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """Calibrated plain IoU, 0..1, and ``wrong`` = P(IoU < t)."""

    iou: float
    wrong: float


@dataclass(frozen=True, slots=True)
class Branch:
    """The two models over one set of features."""

    iou: Logistic | Forest
    right: Logistic | Forest
    names: tuple[str, ...]  # of the features


@dataclass(frozen=True, slots=True)
class Calibrator:
    """Estimates for one model version; ``below`` is the IoU t from which a mask is right."""

    cheap: Branch
    full: Branch | None
    empty_wrong: float | None  # share of the empty predictions that missed something; None: no pair says
    below: float
    pairs: int

    def estimate(self, figures: Sequence[Figures]) -> list[Estimate]:
        """One estimate for each prediction; those with views by all figures, the others by the cheap ones."""
        answers: dict[int, Estimate] = {}
        kinds: dict[str, list[int]] = {"cheap": [], "full": []}
        for index, item in enumerate(figures):
            if item.foreground == 0:
                answers[index] = self._of_empty()
            else:
                kinds["full" if self.full is not None and item.has_views else "cheap"].append(index)
        for kind, indices in kinds.items():
            branch = self.full if kind == "full" and self.full is not None else self.cheap
            if indices:
                x = _table([figures[index] for index in indices], branch.names)
                ious, rights = branch.iou.predict(x), branch.right.predict(x)
                for index, iou, right in zip(indices, ious, rights, strict=True):
                    answers[index] = Estimate(float(iou), float(1 - right))
        return [answers[index] for index in range(len(figures))]

    def _of_empty(self) -> Estimate:
        # The IoU of an empty prediction is 1 where there is nothing and 0 where there is something.
        wrong = 1.0 if self.empty_wrong is None else self.empty_wrong
        return Estimate(1 - wrong, wrong)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, for a file beside the weights."""
        return {"format": 2, **asdict(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Calibrator:
        """The calibrator that ``to_json`` was asked of; ValueError where the values are none."""
        try:
            if values["format"] not in (1, 2):
                raise ValueError(f"a calibrator of format {values['format']}, which a newer labeler wrote")
            full, wrong = values["full"], values["empty_wrong"]
            return cls(
                cheap=_branch(values["cheap"], _FIRST_FEATURES),
                full=None if full is None else _branch(full, _FIRST_FEATURES + _FIRST_VIEWS),
                empty_wrong=None if wrong is None else float(wrong),
                below=float(values["below"]),
                pairs=int(values["pairs"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no calibrator: {error!r}") from error


def _branch(values: Mapping[str, Any], first: tuple[str, ...]) -> Branch:
    names = tuple(map(str, values.get("names", first)))
    if unknown := [name for name in names if name not in FEATURES and name not in VIEWS]:
        raise ValueError(f"a calibrator that asks for {unknown[0]}")
    return Branch(_model(values["iou"], len(names)), _model(values["right"], len(names)), names)


def _model(values: Mapping[str, Any], width: int) -> Logistic | Forest:
    return Forest.from_json(values, width) if "trees" in values else Logistic.from_json(values, width)


def fit_calibrator(pairs: Sequence[Pair], *, below: float, seed: int = 0) -> Calibrator | None:
    """A calibrator from holdout pairs, weighted by 1/P(seen); None below 30: not calibrated yet.

    The pairs must be of images that the model was not trained on. ``below`` is the IoU t from which a mask is right.
    """
    if len(pairs) < FEWEST:
        return None
    weights = np.array([1 / pair.seen for pair in pairs])
    weights = np.minimum(weights / weights.min(), LARGEST_WEIGHT)
    empty = np.array([pair.figures.foreground == 0 for pair in pairs])
    ious = np.array([pair.iou for pair in pairs])
    shown = [pair.figures for pair, none in zip(pairs, empty, strict=True) if not none]
    if len(shown) < FEWEST:
        return None
    branches = [
        _fit_branch(shown, {**FEATURES, **(VIEWS if views else {})}, ious[~empty], weights[~empty], below, seed)
        if not views or all(figures.has_views for figures in shown)
        else None
        for views in (False, True)
    ]
    cheap, full = branches
    assert cheap is not None
    return Calibrator(cheap, full, _empty_wrong(ious[empty] < below, weights[empty]), below, len(pairs))


def _empty_wrong(wrong: NDArray[np.bool_], weights: NDArray[np.float64]) -> float | None:
    """Posterior mean under a flat prior; too few pairs for a model of their own, and no figure of theirs helped."""
    if not len(wrong):
        return None
    scale = len(wrong) / weights.sum()
    return float((scale * weights @ wrong + 1) / (len(wrong) + 2))


def _fit_branch(
    shown: Sequence[Figures],
    features: Mapping[str, int],
    ious: NDArray[np.float64],
    weights: NDArray[np.float64],
    below: float,
    seed: int,
) -> Branch:
    names, signs = tuple(features), list(features.values())
    x, right = _table(shown, names), (ious >= below).astype(float)
    if len(x) >= TREES_FROM and right.min() < right.max():
        with contextlib.suppress(UnreadableTrees):
            return Branch(
                fit_forest(x, ious, weights, signs, seed=seed, share=False),
                fit_forest(x, right, weights, signs, seed=seed, share=True),
                names,
            )
    smoothed = _smoothed(right)
    return Branch(fit_logistic(x, ious, weights, signs), fit_logistic(x, smoothed, weights, signs), names)


def _smoothed(right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Platt's targets: n right ones are no proof that the next one is."""
    positive = right.sum()
    return np.asarray(np.where(right > 0, (positive + 1) / (positive + 2), 1 / (len(right) - positive + 2)), float)


def _table(figures: Sequence[Figures], names: Sequence[str]) -> NDArray[np.float64]:
    """Features (n, d); nan where a figure is not known."""
    return np.array([[_value(item, name) for name in names] for item in figures], dtype=float)


def _value(figures: Figures, name: str) -> float:
    if name == "root_area":
        return math.sqrt(figures.foreground)
    value = getattr(figures, name) if name in ("soft_iou", "stability") else figures.signals.get(name, math.nan)
    if not math.isfinite(value):
        return math.nan
    if name in _AS_LOGIT:
        value = min(max(value, 1e-3), 1 - 1e-3)
        return math.log(value / (1 - value))
    if name in _AS_ROOT:
        return math.sqrt(max(0.0, value))
    if name == "faults":
        return math.log(value + 0.01)
    return math.log1p(value) if name == "components" else float(value)
