"""A logistic model whose slopes have known signs, as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

RIDGE = 1.0  # of the standardised slopes, beside the sum over all pairs
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Logistic:
    """expit(intercept + slopes of the standardised features); what is not known counts as the mean."""

    intercept: float
    slopes: tuple[float, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]

    def predict(self, x: Floats) -> Floats:
        """Values (n,) in 0..1 of features (n, d), nan where one is not known."""
        answer: Floats = expit(self.intercept + _standardised(x, self.means, self.scales) @ np.array(self.slopes))
        return answer

    @classmethod
    def from_json(cls, values: Mapping[str, Any], width: int) -> Logistic:
        """The model of these values; ValueError where they do not fit to ``width`` features."""
        parts = [tuple(map(float, values[name])) for name in ("slopes", "means", "scales")]
        if any(len(part) != width or not np.isfinite(part).all() for part in parts) or min(parts[2]) <= 0:
            raise ValueError(f"a logistic model that is not of {width} features")
        return cls(float(values["intercept"]), *parts)


def fit_logistic(x: Floats, target: Floats, weights: Floats, signs: Sequence[int]) -> Logistic:
    """Fit to targets (n,) in 0..1, which need not be 0 or 1; ``signs`` (d,) bound the slopes: 1 up, -1 down, 0 free."""
    known = np.isfinite(x)
    counts = np.maximum(known.sum(axis=0), 1)
    means = np.where(known, x, 0).sum(axis=0) / counts
    spread = np.sqrt(np.where(known, (x - means) ** 2, 0).sum(axis=0) / counts)
    scales = np.where(spread > 1e-9, spread, 1.0)
    z = _standardised(x, tuple(means), tuple(scales))
    weights = weights * (len(weights) / weights.sum())

    def loss(beta: Floats) -> tuple[float, Floats]:
        margin = beta[0] + z @ beta[1:]
        fault = weights * (expit(margin) - target)
        value = weights @ (np.logaddexp(0, margin) - target * margin) + RIDGE / 2 * beta[1:] @ beta[1:]
        return float(value), np.concatenate([[fault.sum()], z.T @ fault + RIDGE * beta[1:]])

    bounds = [(None, None), *((0 if sign > 0 else None, 0 if sign < 0 else None) for sign in signs)]
    beta = minimize(loss, np.zeros(z.shape[1] + 1), jac=True, method="L-BFGS-B", bounds=bounds).x
    return Logistic(float(beta[0]), tuple(map(float, beta[1:])), tuple(map(float, means)), tuple(map(float, scales)))


def _standardised(x: Floats, means: Sequence[float], scales: Sequence[float]) -> Floats:
    z: Floats = np.nan_to_num((x - np.array(means)) / np.array(scales), nan=0.0)
    return z
