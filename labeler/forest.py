"""Boosted trees as plain numbers: fitted by scikit-learn, kept and asked without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

TREES, LEAVES, RATE, SMALLEST_LEAF, RIDGE = 80, 6, 0.08, 15, 5.0
BINS = 48  # its way to cut by weights takes a millisecond a bin, and hundreds of pairs have no finer structure
LEAF = -1  # in place of a feature's number
Floats = NDArray[np.float64]
Tree = tuple[tuple[float, ...], ...]  # columns: feature, cut, left, right, left where not known, value


class UnreadableTrees(Exception):
    """Fitted trees could not be taken over."""


@dataclass(frozen=True, slots=True)
class Forest:
    """Sum of trees, through expit where it is a share and cut to 0..1 where it is not."""

    start: float
    share: bool
    trees: tuple[Tree, ...]

    def predict(self, x: Floats) -> Floats:
        """Values (n,) in 0..1 of features (n, d), nan where one is not known."""
        total = np.full(len(x), self.start)
        for tree in self.trees:
            total += _leaves(tree, x)
        answer: Floats = expit(total) if self.share else np.clip(total, 0.0, 1.0)
        return answer

    @classmethod
    def from_json(cls, values: Mapping[str, Any], width: int) -> Forest:
        """The forest of these values; ValueError where they would lead nowhere."""
        trees = tuple(tuple(tuple(map(float, column)) for column in tree) for tree in values["trees"])
        for tree in trees:
            _check(tree, width)
        return cls(float(values["start"]), bool(values["share"]), trees)


def _check(tree: Tree, width: int) -> None:
    """Children stand behind their parents, so that every walk ends."""
    feature, cut, left, right, *_, value = (np.array(column) for column in tree)
    inner, place = feature != LEAF, np.arange(len(feature))
    children = np.concatenate([left[inner] - place[inner], right[inner] - place[inner]])
    inside = (np.maximum(left, right)[inner] < len(feature)).all() and (feature < width).all()
    if len({len(column) for column in tree}) != 1 or not inside or (children <= 0).any():
        raise ValueError("a tree that leads nowhere")
    if not np.isfinite(value).all() or np.isnan(cut).any():
        raise ValueError("a tree with values that are no numbers")


def _leaves(tree: Tree, x: Floats) -> Floats:
    feature, cut, left, right, missing, value = (np.array(column) for column in tree)
    node = np.zeros(len(x), int)
    while (inner := feature[node] != LEAF).any():
        seen = x[np.arange(len(x)), np.where(inner, feature[node], 0).astype(int)]
        goes_left = np.where(np.isnan(seen), missing[node] > 0, seen <= cut[node])
        node = np.where(inner, np.where(goes_left, left[node], right[node]), node).astype(int)
    return np.asarray(value[node], float)


def fit_forest(x: Floats, target: Floats, weights: Floats, signs: Sequence[int], *, seed: int, share: bool) -> Forest:
    """Boost trees that never fall along a feature of sign 1 nor rise along one of -1; the same twice for a seed.

    ``share``: targets are 0 or 1 and their probability is wanted; else any number in 0..1. UnreadableTrees where this
    scikit-learn keeps its trees in another way than we read them: it does not promise how.
    """
    # Slow to import, and only rounds fit: the window never waits for it.
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    kind = HistGradientBoostingClassifier if share else HistGradientBoostingRegressor
    model = kind(
        max_iter=TREES,
        max_leaf_nodes=LEAVES,
        learning_rate=RATE,
        min_samples_leaf=SMALLEST_LEAF,
        l2_regularization=RIDGE,
        max_bins=BINS,
        monotonic_cst=list(signs),
        early_stopping=False,
        random_state=seed,
    )
    x = np.where(np.isnan(x).all(axis=0), 0.0, x)  # it cannot bin a feature of which nothing is known
    # A few hundred pairs: threads would wait for each other most of the time.
    with threadpool_limits(1, user_api="openmp"):
        model.fit(x, target.astype(int) if share else target, sample_weight=weights)
        theirs = model.predict_proba(x)[:, 1] if share else np.clip(model.predict(x), 0, 1)
    try:
        start = float(np.ravel(model._baseline_prediction)[0])
        forest = Forest(start, share, tuple(_tree(stage[0].nodes) for stage in model._predictors))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise UnreadableTrees(str(error)) from error
    if not np.allclose(forest.predict(x), theirs, atol=1e-6):
        raise UnreadableTrees("what was read answers otherwise")
    return forest


def _tree(nodes: NDArray[Any]) -> Tree:
    leaf = nodes["is_leaf"] > 0
    feature = np.where(leaf, LEAF, nodes["feature_idx"])
    names = ("num_threshold", "left", "right", "missing_go_to_left", "value")
    cut, left, right, missing, value = (np.where(leaf & (name != "value"), 0, nodes[name]) for name in names)
    columns = (feature, np.minimum(cut, 1e300), left, right, missing, value)  # JSON has no infinity
    return tuple(tuple(map(float, column)) for column in columns)
