"""A second look at predictions: what the version before said, how near the core is, and further orientations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from labeler.appearance import appearance
from labeler.bundle import Bundle
from labeler.calibration import Figures, Pair
from labeler.metrics import mean_iou
from labeler.records import Image, Mask, Prediction, PredictionRecord
from labeler.signals import unexplained
from labeler.views import GreyZone, agreement, doubtful_place, joined, support

STANDS_FROM = 0.95  # IoU with the mask of the version before from which an accepted one is left as it is
FAMILIAR = 0.02  # distance in looks to the core up to which an image is of a kind that the model knows
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


def uncalibrated(figures: Figures) -> float:
    """The confidence, 0..1, before a holdout says what figures mean: soft IoU x stability, less for unknown kinds.

    A model is as sure of an image of a kind that its core lacks: of nuclei (10 kinds, 12 labels of 3 of them) a quarter
    of what soft IoU x stability accepted was wrong.
    """
    distance = figures.signals.get("look_distance", 0.0)
    return figures.soft_iou * figures.stability * (1 - min(1.0, max(0.0, distance - FAMILIAR))) ** 2


def compared(
    batch: Sequence[Image],
    predictions: Sequence[Prediction],
    previous: Sequence[Mask | None],
    bundle: Bundle | None,
    classes: int,
) -> list[Prediction]:
    """The predictions with the signals that cost no forward pass.

    ``unexplained``: share of the image's variance that the mask leaves; ``kept``: plain IoU with the mask of the
    version before, where there is one; ``core_distance`` and ``look_distance``: 1 - cosine to the nearest image of
    the core, by what the network sees and by what the image looks like without it.
    """
    bundle = bundle or Bundle(None, 0.0)
    distances = bundle.distances([prediction.embedding for prediction in predictions])
    looks = (
        bundle.look_distances([appearance(image) for image in batch]) if len(bundle.looks) else [math.nan] * len(batch)
    )
    answers = []
    for image, prediction, mask, distance, look in zip(batch, predictions, previous, distances, looks, strict=True):
        found = {"unexplained": unexplained(prediction.mask, image), "core_distance": distance, "look_distance": look}
        if mask is not None and mask.shape == prediction.mask.shape:
            found["kept"] = mean_iou(prediction.mask, mask, classes=classes)
        answers.append(_with(prediction, {name: value for name, value in found.items() if math.isfinite(value)}))
    return answers


def remembered(prediction: Prediction, masks: Sequence[Mask], classes: int) -> Prediction:
    """The prediction with the signal ``kept``: the smallest plain IoU with the masks (H, W) of earlier versions."""
    if not masks:
        return prediction
    return _with(prediction, {"kept": min(mean_iou(prediction.mask, mask, classes=classes) for mask in masks)})


def stands(prediction: Prediction | PredictionRecord) -> bool:
    """Whether the mask of the version before is borne out."""
    return prediction.signals.get("kept", 0.0) >= STANDS_FROM


def looked_at(
    viewer: Viewer, batch: Sequence[Image], predictions: Sequence[Prediction], zone: GreyZone, bundle: Bundle | None
) -> list[Prediction]:
    """The predictions; those of the grey zone are what all orientations say together.

    These have the signals ``view_iou_mean`` and ``view_iou_min``, the pairwise plain IoU of the orientations;
    ``view_parts`` and ``view_soft``, see ``support``; ``doubt_x`` and ``doubt_y``, see ``doubtful_place``. Of 2,000
    ships, 40 had an IoU below 0.95 as seen once, 23 with the least sure fifth seen four times.
    """
    chosen = zone.choose(_cheap(predictions, bundle))
    answers = list(predictions)
    for index, views in zip(chosen, viewer.views([batch[index] for index in chosen]), strict=True):
        answers[index] = seen_again(answers[index], views, viewer.classes)
    return answers


def seen_again(prediction: Prediction, views: Sequence[Planes], classes: int) -> Prediction:
    """What a prediction and further looks at its image say together, with the signals of ``looked_at``."""
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
    (prediction,) = compared([image], [prediction], [previous], bundle, viewer.classes)
    prediction = _with(prediction, _agreed(prediction, viewer.views([image])[0], viewer.classes))
    return Pair(figures_of(prediction), mean_iou(prediction.mask, mask, classes=viewer.classes), seen)


def _cheap(predictions: Sequence[Prediction], bundle: Bundle | None) -> list[float]:
    if bundle is None or bundle.calibrator is None:
        return [uncalibrated(figures_of(prediction)) for prediction in predictions]
    return [estimate.iou for estimate in bundle.calibrator.estimate([figures_of(item) for item in predictions])]


def _agreed(prediction: Prediction, views: Sequence[Planes], classes: int) -> dict[str, float]:
    masks = [prediction.mask, *(mask for mask, _ in views)]
    mean, smallest = agreement(masks, classes=classes)
    parts, soft = support(prediction.mask, masks[1:], [prediction.probability, *(plane for _, plane in views)])
    found = {"view_iou_mean": mean, "view_iou_min": smallest, "view_parts": parts, "view_soft": soft}
    place = doubtful_place(masks)
    return found if place is None else {**found, "doubt_x": place[0], "doubt_y": place[1]}


def _with(prediction: Prediction, found: dict[str, float]) -> Prediction:
    return replace(prediction, signals=prediction.signals | found) if found else prediction
