"""The frozen records that cross the rooms, and the states they can be in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]  # (H, W), class index per pixel, 0 = background
Embedding = NDArray[np.float32]  # (D,), of length 1; comparable within one model version only
Image = NDArray[Any]  # (H, W) or (H, W, 3), uint8 or uint16, upright
ROUND_CLOSED = "the project was closed"  # why a round ended that nobody stopped: it is still owed


class ImageState(StrEnum):
    """Where an image stands; every image is in exactly one state."""

    POOL = "pool"  # seen, not yet predicted by the champion
    QUEUED = "queued"  # waits for a person
    ACCEPTED = "accepted"  # by the gate
    LABELLED = "labelled"  # by a person
    EXCLUDED = "excluded"
    UNREADABLE = "unreadable"


class LabelOrigin(StrEnum):
    """How a label became final."""

    LOOKED = "accepted after a look"
    CORRECTED = "corrected"
    IMPORTED = "imported"


class Split(StrEnum):
    """What a label is for."""

    CORE = "core"
    HOLDOUT = "holdout"


class VersionStatus(StrEnum):
    """What became of a model version."""

    CHAMPION = "champion"
    RETIRED = "retired"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class StreamItem:
    """One readable image from a stream; ``sha256`` is of the file's bytes."""

    path: Path
    sha256: str
    width: int
    height: int
    note: str = ""  # what a person should know: "first of 7 pages", "16 bit"


@dataclass(frozen=True, slots=True)
class UnreadableItem:
    """One file of a stream that cannot be used, and why, in words for a person."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One row of the catalogue, with the newest prediction's figures (None before any)."""

    image_id: int
    path: Path
    sha256: str
    width: int
    height: int
    state: ImageState
    reason: str
    confidence: float | None
    soft_iou: float | None
    stability: float | None
    foreground: float | None  # share of predicted foreground pixels, 0..1
    model_version: int | None
    split: Split | None
    origin: LabelOrigin | None
    skips: int
    signals: dict[str, float] = field(default_factory=dict, hash=False)  # of the prediction, as in Prediction
    probe: bool = False  # drawn for the holdout before any score


class Brief(NamedTuple):
    """What lists sort and filter an image by; a tuple, because a window reads 1e6 of them."""

    image_id: int
    name: str  # of the file, case folded
    state: str  # an ImageState
    confidence: float | None
    version: int | None
    skips: int
    foreground: float | None
    iou: float | None  # of the label with the prediction that the person saw
    classes: int  # of the mask in force: bit n - 1 for class n, 0 for none
    date: float  # seconds since 1970: when it was labelled, else when the file was written
    kept: float | None  # IoU of the prediction with the one it replaced
    wrong: float | None  # chance that its IoU is below t, from a calibrator
    shuffle: int  # the same for the same bytes, in no order that means anything


@dataclass(frozen=True, slots=True)
class Prediction:
    """One model's answer for one image, in the image's own size.

    ``mask`` (H, W) uint8 class indices; ``probability`` (H, W) uint8, floor(256 p) of the foreground, so that
    ``mask > 0`` is exactly ``probability >= 128`` with one class; all figures are in 0..1. ``signals`` are further
    figures by name; ``embedding`` (D,) float32 of length 1 says what the image looks like to this model version.
    """

    mask: Mask
    probability: NDArray[np.uint8]
    confidence: float
    soft_iou: float
    stability: float
    foreground: float
    signals: dict[str, float] = field(default_factory=dict, hash=False)
    embedding: Embedding | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class PredictionRecord:
    """A prediction whose two PNG files lie in ``predictions/``; what the catalogue keeps of it."""

    image_id: int
    model_version: int
    confidence: float
    soft_iou: float
    stability: float
    foreground: float
    mask_sha256: str
    signals: dict[str, float] = field(default_factory=dict, hash=False)
    embedding: Embedding | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class LabelRecord:
    """One revision of a person's mask of one image."""

    label_id: int
    image_id: int
    revision: int
    mask_path: Path
    mask_sha256: str
    origin: LabelOrigin
    split: Split
    seconds: float
    created: str
    confidence: float | None  # of the prediction that the person saw
    iou: float | None  # of that prediction with the label
    model_version: int | None  # of that prediction


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """One model version; ``holdout_iou`` is the mean plain IoU over ``holdout_count`` labels."""

    version: int
    path: Path
    sha256: str
    parent: int | None
    status: VersionStatus
    core_count: int
    holdout_count: int
    holdout_iou: float | None
    core_iou: float | None
    created: str
    metrics: dict[str, Any] = field(default_factory=dict)
    bundle: str = field(default="", repr=False)  # what goes with the weights, as text; '' where there is nothing


@dataclass(frozen=True, slots=True)
class Elder:
    """An earlier model version, to ask what it would have said."""

    version: int
    path: Path
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many images are in each state; ``core`` and ``holdout`` share the labelled ones."""

    streamed: int = 0
    pool: int = 0
    queued: int = 0
    accepted: int = 0
    labelled: int = 0
    excluded: int = 0
    unreadable: int = 0
    core: int = 0
    holdout: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of long work: ``done`` of ``total`` (0 = unknown), a phase, and figures to plot."""

    phase: str
    done: int
    total: int
    metrics: dict[str, float] = field(default_factory=dict)
