"""Tiles of the report, drawn on a thread of their own: the image, the prediction in blue, what is wrong in red."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal, Slot

from labeler import images, masks
from labeler.errors import LabelerError, MaskError
from labeler.files import prediction_paths
from labeler.project import Project
from labeler.records import Mask
from labeler.review import Judged
from labeler.ui.worker import Lane, Priority, Task

SIDE = 240  # pixels of a tile
BLUE, WRONG = (0, 114, 178), (213, 94, 0)  # of Okabe and Ito's palette: told apart with every kind of colour vision
_TINT = 0.38


@dataclass(frozen=True, slots=True)
class Tile:
    """A drawn tile (h, w, 3) uint8, and the classes that prediction and label hold; None where it is lost."""

    image_id: int
    pixels: NDArray[np.uint8]
    predicted: frozenset[int] | None
    labelled: frozenset[int]


@dataclass(frozen=True, slots=True)
class TileJob:
    """Everything that a tile is drawn from."""

    image_id: int
    image: Path
    sha256: str
    prediction: Path
    label: Path


def draw(job: TileJob) -> Generator[None, None, Tile]:
    """The tile of one job, without a prediction that is gone. LabelerError where another file of it is."""
    yield None  # begun on the lane's thread
    rgb = images.load_rgb8(images.load(job.image, sha256=job.sha256))
    labelled = masks.load(job.label)
    try:
        predicted = masks.load(job.prediction)
    except MaskError:
        predicted = None
    scale = min(1.0, SIDE / max(rgb.shape[:2]))
    size = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    if predicted is None:
        return Tile(job.image_id, small, None, _classes(labelled))
    pair = [cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST) for mask in (predicted, labelled)]
    return Tile(job.image_id, painted(small, *pair), _classes(predicted), _classes(labelled))


def painted(rgb: NDArray[np.uint8], predicted: Mask, labelled: Mask) -> NDArray[np.uint8]:
    """The image (h, w, 3) with the prediction (h, w) tinted and outlined in blue, and wrong pixels in red."""
    mixed = rgb.astype(np.float32)
    for chosen, colour in ((predicted > 0, BLUE), (predicted != labelled, WRONG)):
        mixed[chosen] = (1 - _TINT) * mixed[chosen] + _TINT * np.array(colour, np.float32)
    found = (predicted > 0).astype(np.uint8)
    mixed[(found - cv2.erode(found, np.ones((3, 3), np.uint8), borderValue=0)) > 0] = BLUE
    return mixed.round().astype(np.uint8)


def _classes(mask: Mask) -> frozenset[int]:
    return frozenset(int(value) for value in np.flatnonzero(np.bincount(mask.ravel())) if value)


class Tiles(QObject):
    """Draws what is asked for, one tile at a time."""

    ready = Signal(object)  # Tile

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = Lane(self)
        self._tasks: set[int] = set()
        self._lane.completed.connect(self._pass)

    def request(self, project: Project, judged: Judged) -> None:
        """``ready`` follows; nothing where a file is gone."""
        try:
            path = project.resolve(judged.image_id)
        except LabelerError:
            return
        record = project.image(judged.image_id)
        label = project.revisions(judged.image_id)[-1]
        prediction = prediction_paths(project.predictions_folder, judged.image_id, judged.model_version or 0)[0]
        job = TileJob(judged.image_id, path, record.sha256, prediction, label.mask_path)
        task = Task("tile", Priority.PREDICT, lambda: draw(job))
        self._tasks.add(task.task_id)
        self._lane.submit(task)

    def forget(self) -> None:
        """Draw nothing more of what was asked for."""
        for task_id in self._tasks:
            self._lane.stop(task_id)
        self._tasks.clear()

    def shut_down(self) -> bool:
        """End the thread."""
        return self._lane.shut_down()

    @Slot(object, object)
    def _pass(self, task_id: int, tile: Tile) -> None:
        if task_id in self._tasks:
            self._tasks.discard(task_id)
            self.ready.emit(tile)
