"""How well a model agrees with the truth, image by image, in both metrics."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labeler import masks
from labeler.cascade import looked_at
from labeler.inference import Predictor
from labeler.metrics import Floats, iou, stepped_iou
from labeler.records import Progress
from labeler.settings import Settings
from labeler.studies.curate.pairs import Indices, Pairs

Metric = Literal["iou", "stepped"]
METRICS: dict[Metric, str] = {"iou": "plain IoU", "stepped": "stepped IoU"}
AT_ONCE = 32  # images in memory
BINS = 100  # of the histograms over 0..1


@dataclass(frozen=True, slots=True)
class Bar:
    """What an image must reach: ``threshold`` in ``metric``."""

    metric: Metric = "iou"
    threshold: float = 0.8075

    @property
    def name(self) -> str:
        """In words."""
        return f"{METRICS[self.metric]} {self.threshold:g}"

    @property
    def plain(self) -> float:
        """The plain IoU from which on the bar is reached.

        A stepped IoU of s means a plain one of at least 0.45 + s / 2, and only steps of 0.1 occur.
        """
        if self.metric == "iou":
            return self.threshold
        steps = np.ceil(np.round(self.threshold * 10, 6))
        return float(min(1.0, 0.45 + steps / 20)) if steps > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Agreement:
    """IoU of the predictions with the truth and their uncalibrated confidence, in the order of ``indices``."""

    indices: Indices
    plain: Floats
    stepped: Floats
    confidence: Floats

    def of(self, metric: Metric) -> Floats:
        """The figures in one metric."""
        return self.plain if metric == "iou" else self.stepped

    def falls_short(self, bar: Bar) -> NDArray[np.bool_]:
        """Of each image whether it is below the bar."""
        return self.of(bar.metric) < bar.threshold

    def below(self, bar: Bar) -> Indices:
        """Places of the images that fall short, the worst first."""
        short = np.flatnonzero(self.falls_short(bar))
        worst = short[np.lexsort((self.plain[short], self.of(bar.metric)[short]))]
        return self.indices[worst]

    def gated(self, bar: Bar) -> dict[str, Any]:
        """How many images a gate at the bar, in plain IoU, accepts by their confidence; how many of them fall short.

        The gate knows no truth: what it does not accept is what the program would show a person.
        """
        passed = self.confidence >= bar.plain
        wrong = passed & self.falls_short(bar)
        return {"threshold": bar.plain, "accepted": int(passed.sum()), "accepted_below": int(wrong.sum())}

    def summary(self, bar: Bar) -> dict[str, Any]:
        """Means, smallest values and quantiles in both metrics, and how many are below the bar; ready for JSON."""
        return {
            "images": len(self.indices),
            "metric": bar.metric,
            "threshold": bar.threshold,
            "below": int(self.falls_short(bar).sum()),
            "gate": self.gated(bar),
            **{metric: _figures(self.of(metric)) for metric in METRICS},
            "histogram": np.histogram(self.plain, bins=BINS, range=(0, 1))[0].tolist(),  # of plain IoU
        }


def _figures(values: Floats) -> dict[str, float]:
    one, five = np.quantile(values, (0.01, 0.05))
    return {
        "mean": float(values.mean()),
        "min": float(values.min()),
        "q01": float(one),
        "q05": float(five),
    }


def measure(
    predictor: Predictor,
    pairs: Pairs,
    indices: Sequence[int] | Indices,
    *,
    settings: Settings | None = None,
    phase: str = "measuring",
) -> Generator[Progress, None, Agreement]:
    """Predict these pairs in small batches and compare with the truth; only the figures are kept.

    With the ``settings`` of a project as the program does there: the grey zone is seen in further orientations.
    """
    zone = None
    if settings is not None:
        zone = predictor.grey_zone(threshold=settings.threshold, share=settings.grey_share)
    plain: list[float] = []
    stepped: list[float] = []
    confidence: list[float] = []
    places: NDArray[np.int64] = np.asarray(indices, np.int64)
    for start in range(0, len(places), AT_ONCE):
        batch = [int(index) for index in places[start : start + AT_ONCE]]
        seen = [pairs.image(index) for index in batch]
        predictions = predictor.predict(seen)
        predictions = predictions if zone is None else looked_at(predictor, seen, predictions, zone, None)
        for index, prediction in zip(batch, predictions, strict=True):
            shape = (prediction.mask.shape[0], prediction.mask.shape[1])
            truth = masks.checked(pairs.mask(index), shape=shape, classes=1, name=pairs.path(index).name)
            plain.append(float(iou(prediction.mask, truth)))
            stepped.append(float(stepped_iou(prediction.mask, truth)))
            confidence.append(prediction.confidence)
        yield Progress(phase, start + len(batch), len(places))
    return Agreement(places, np.array(plain), np.array(stepped), np.array(confidence))
