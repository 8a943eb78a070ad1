"""A second look at predictions: what the version before said, how near the core is, and further orientations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from labeler.bundle import Bundle
from labeler.calibration import Figures, Pair
from labeler.metrics import mean_iou
from labeler.records import Image, Mask, Prediction, PredictionRecord
from labeler.views import GreyZone, agreement, joined

STANDS_FROM = 0.95  # IoU with the mask of the version before from which an accepted one is left as it is
Planes = tuple[Mask, NDArray[np.uint8]]  # mask and probability (H, W)


class Viewer(Protocol):
    """A model that can look at images in further orientations."""

    @property
    def classes(self) -> int:
        """How many classes it knows."""

    def views(self, batch: Sequence[Image]) -> list[list[Planes]]:
        """Masks and probabilities of further orientations, brought back."""


def figures_of(prediction: Prediction | PredictionRecord) -> Figures:
    """What a calibrator asks for."""
    return Figures(prediction.soft_iou, prediction.stability, prediction.foreground, prediction.signals)


def compared(
    predictions: Sequence[Prediction], previous: Sequence[Mask | None], bundle: Bundle | None, classes: int
) -> list[Prediction]:
    """The predictions with the signals that cost nothing.

    ``kept``: plain IoU with the mask of the version before, where there is one; ``core_distance``: 1 - cosine
    to the nearest image of the core.
    """
    distances = (
        [float("nan")] * len(predictions)
        if bundle is None
        else bundle.distances([prediction.embedding for prediction in predictions])
    )
    answers = []
    for prediction, mask, distance in zip(predictions, previous, distances, strict=True):
        found = {} if np.isnan(distance) else {"core_distance": distance}
        if mask is not None and mask.shape == prediction.mask.shape:
            found["kept"] = mean_iou(prediction.mask, mask, classes=classes)
        answers.append(_with(prediction, found))
    return answers


def stands(prediction: Prediction | PredictionRecord) -> bool:
    """Whether the mask of the version before is borne out."""
    return prediction.signals.get("kept", 0.0) >= STANDS_FROM


def looked_at(
    viewer: Viewer, batch: Sequence[Image], predictions: Sequence[Prediction], zone: GreyZone, bundle: Bundle | None
) -> list[Prediction]:
    """The predictions; those of the grey zone are what all orientations say together.

    These have the signals ``view_iou_mean`` and ``view_iou_min``: pairwise plain IoU of the orientations. Of 2,000
    ships, 40 had an IoU below 0.95 as seen once, 23 with the least sure fifth seen four times.
    """
    chosen = zone.choose(_cheap(predictions, bundle))
    answers = list(predictions)
    for index, views in zip(chosen, viewer.views([batch[index] for index in chosen]), strict=True):
        answers[index] = _joined(answers[index], views, viewer.classes)
    return answers


def _joined(prediction: Prediction, views: Sequence[Planes], classes: int) -> Prediction:
    masks, probabilities = zip((prediction.mask, prediction.probability), *views, strict=True)
    mask, probability = joined(masks, probabilities, classes=classes)
    found = _with(prediction, _agreed(prediction, views, classes))
    return replace(found, mask=mask, probability=probability, foreground=float((mask > 0).mean()))


def holdout_pair(
    viewer: Viewer,
    image: Image,
    mask: Mask,
    prediction: Prediction,
    *,
    previous: Mask | None,
    bundle: Bundle,
    seen: float,
) -> Pair:
    """A prediction of a holdout image with all its signals, and what it is worth against the person's ``mask``.

    As seen once: most masks are, and the others are hardly worse for being seen more often.
    """
    (prediction,) = compared([prediction], [previous], bundle, viewer.classes)
    prediction = _with(prediction, _agreed(prediction, viewer.views([image])[0], viewer.classes))
    return Pair(figures_of(prediction), mean_iou(prediction.mask, mask, classes=viewer.classes), seen)


def _cheap(predictions: Sequence[Prediction], bundle: Bundle | None) -> list[float]:
    if bundle is None or bundle.calibrator is None:
        return [prediction.confidence for prediction in predictions]
    return [estimate.iou for estimate in bundle.calibrator.estimate([figures_of(item) for item in predictions])]


def _agreed(prediction: Prediction, views: Sequence[Planes], classes: int) -> dict[str, float]:
    mean, smallest = agreement([prediction.mask, *(mask for mask, _ in views)], classes=classes)
    return {"view_iou_mean": mean, "view_iou_min": smallest}


def _with(prediction: Prediction, found: dict[str, float]) -> Prediction:
    return replace(prediction, signals=prediction.signals | found) if found else prediction
