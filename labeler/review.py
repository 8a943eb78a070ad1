"""Every mask that an image has or had: a person's, the model's, and those before them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from labeler import masks
from labeler.errors import MaskError
from labeler.project import Project
from labeler.records import LabelOrigin, Mask, Split


class Kind(Enum):
    """Where a mask comes from."""

    NOTHING = "nothing"  # the bare image
    IN_HAND = "in hand"  # what is on the canvas
    PREDICTION = "prediction"
    BEFORE = "before"  # the prediction of the model version before
    REVISION = "revision"  # a person's mask


@dataclass(frozen=True, slots=True)
class MaskVersion:
    """One mask of an image; ``number`` is the model's version or the label's revision."""

    kind: Kind
    number: int = 0
    created: str = ""  # ISO 8601; "" where nobody noted it
    origin: LabelOrigin | None = None
    split: Split | None = None
    iou: float | None = None  # of a revision with the prediction that the person saw
    is_current: bool = False


def versions_of(project: Project, image_id: int) -> list[MaskVersion]:
    """All masks of an image that can be shown, newest first: labels, then predictions."""
    record = project.image(image_id)
    revisions = project.revisions(image_id)
    found = [
        MaskVersion(
            Kind.REVISION,
            label.revision,
            label.created,
            label.origin,
            label.split,
            label.iou,
            is_current=label is revisions[-1] and record.origin is not None,
        )
        for label in reversed(revisions)
    ]
    if record.model_version is not None:
        found.append(MaskVersion(Kind.PREDICTION, record.model_version, is_current=not revisions))
        before = project.prediction_before(image_id)
        if before is not None:
            found.append(MaskVersion(Kind.BEFORE, before[1]))
    return found


def mask_of(project: Project, image_id: int, version: MaskVersion) -> Mask:
    """The pixels (H, W) of one of ``versions_of``; MaskError where its file is lost or damaged."""
    record = project.image(image_id)
    if version.kind is Kind.REVISION:
        for label in project.revisions(image_id):
            if label.revision == version.number:
                return masks.load(label.mask_path, sha256=label.mask_sha256)
    elif version.kind is Kind.PREDICTION:
        found = project.prediction(image_id)
        if found is not None:
            return found[0]
    elif version.kind is Kind.BEFORE:
        before = project.prediction_before(image_id)
        if before is not None:
            return before[0]
    elif version.kind is Kind.NOTHING:
        return np.zeros((record.height, record.width), np.uint8)
    raise MaskError(f"{record.path.name}: this mask is not on the disk any more; choose another one")


@dataclass(frozen=True, slots=True)
class Judged:
    """A labelled image whose prediction can be compared with the label: a tile of the report."""

    image_id: int
    iou: float
    split: Split
    model_version: int | None
    label: MaskVersion


def judged(project: Project) -> list[Judged]:
    """The labelled images that were predicted before they were labelled, the worst first."""
    found = [
        Judged(
            label.image_id,
            label.iou,
            label.split,
            label.model_version,
            MaskVersion(Kind.REVISION, label.revision, label.created, label.origin, label.split, label.iou),
        )
        for label in project.labels()
        if label.iou is not None
    ]
    return sorted(found, key=lambda item: (item.iou, item.image_id))
