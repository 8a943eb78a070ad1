"""The pixels of labels and predictions, in files, kept in step with their rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeler import masks, metrics, provenance
from labeler.catalogue import Catalogue
from labeler.database import now
from labeler.errors import ImageError, MaskError, StorageError
from labeler.files import prediction_paths, sha256_of, write_atomically
from labeler.layout import portable
from labeler.ledger import Ledger, NewLabel
from labeler.records import ImageRecord, LabelOrigin, LabelRecord, Mask, PredictionRecord, Split


@dataclass(frozen=True, slots=True)
class StoredPrediction:
    """Where the pixels of a current prediction lie; it can be read on any thread."""

    mask_path: Path
    mask_sha256: str
    probability_path: Path
    shape: tuple[int, int]

    def read(self) -> tuple[Mask, NDArray[np.uint8]]:
        """Mask and probabilities, read-only; MaskError where they are lost or damaged, StorageError as for any disk."""
        mask = masks.decode(_sound(self.mask_path, self.mask_sha256), name=str(self.mask_path))
        probability = masks.decode(_sound(self.probability_path, None), name=str(self.probability_path))
        if mask.shape != self.shape or probability.shape != self.shape:
            raise MaskError(f"{self.mask_path}: has another size than its image")
        mask.flags.writeable = probability.flags.writeable = False
        return mask, probability


class Pixels:
    """Files first, rows second: a crash in between leaves an orphan."""

    def __init__(self, catalogue: Catalogue, ledger: Ledger, *, home: Path, predictions: Path) -> None:
        self._catalogue = catalogue
        self._ledger = ledger
        self._home = home
        self._predictions = predictions

    def commit(
        self,
        image: ImageRecord,
        mask: Mask,
        *,
        classes: tuple[str, ...],
        origin: LabelOrigin,
        split: Split,
        seconds: float,
    ) -> LabelRecord:
        """Keep a mask as a new revision; MaskError or StorageError leave the old one valid."""
        if not image.sha256:
            raise ImageError(f"{image.path}: cannot be labelled, it cannot be read ({image.reason})")
        shape = (image.height, image.width)
        mask = masks.checked(mask, shape=shape, classes=len(classes), name=str(image.path))
        shown = self.prediction(image)
        revision = self._ledger.next_revision(image.image_id)
        facts: dict[str, Any] = {
            "image_id": image.image_id,
            "revision": revision,
            "origin": origin,
            "split": self._ledger.split(image.image_id) or split,
            "seconds": float(seconds),
            "created": now(),
            "confidence": None if shown is None else shown[2].confidence,
            "iou": None if shown is None else metrics.mean_iou(shown[0], mask, classes=len(classes)),
            "model_version": None if shown is None else shown[2].model_version,
        }
        of_image = {"image_sha256": image.sha256, "path": portable(image.path, self._home), "classes": classes}
        payload = provenance.with_facts(masks.encode(mask), facts | of_image)
        # If the row fails, the file stays: SQLite may have committed before it reported the error.
        write_atomically(self._ledger.mask_path(image.image_id, revision), payload)
        label = NewLabel(**facts, mask_sha256=sha256_of(payload), highest_class=int(mask.max(initial=0)))
        return self._ledger.add_label(label)

    def label_mask(self, image: ImageRecord) -> Mask:
        """The mask of the newest sound revision; damaged ones before it are quarantined. MaskError for none."""
        why = "it was never labelled"
        while (label := self._ledger.label(image.image_id)) is not None:
            try:
                return masks.decode(_sound(label.mask_path, label.mask_sha256), name=str(label.mask_path))
            except MaskError as error:
                why = str(error)
                # The row first: without it, a look at a project that may not be written would move the file.
                self._ledger.quarantine(label, why=why)
                with contextlib.suppress(OSError):
                    label.mask_path.replace(label.mask_path.with_name(f"{label.mask_path.name}.damaged"))
        raise MaskError(f"{image.path}: has no sound mask ({why}); label it")

    def prediction(self, image: ImageRecord) -> tuple[Mask, NDArray[np.uint8], PredictionRecord] | None:
        """Mask, probabilities and row of the current prediction; a lost one is forgotten and gives None."""
        record = self._catalogue.prediction(image.image_id)
        if record is None:
            return None
        try:
            mask, probability = self._stored(image, record).read()
        except MaskError as error:
            with contextlib.suppress(StorageError):  # in a view it stays lost
                self._catalogue.forget_prediction(image.image_id, why=str(error))
            return None
        return mask, probability, record

    def stored_prediction(self, image: ImageRecord) -> StoredPrediction | None:
        """Where the current prediction lies, not looked at yet."""
        record = self._catalogue.prediction(image.image_id)
        return None if record is None else self._stored(image, record)

    def _stored(self, image: ImageRecord, record: PredictionRecord) -> StoredPrediction:
        mask_path, probability_path = prediction_paths(self._predictions, image.image_id, record.model_version)
        return StoredPrediction(mask_path, record.mask_sha256, probability_path, (image.height, image.width))

    def prediction_before(self, image: ImageRecord) -> tuple[Mask, int] | None:
        """Mask and version of the prediction that the current one replaced, as long as its file lies there."""
        for version in sorted(self._versions_on_disk(), reverse=True):
            path = prediction_paths(self._predictions, image.image_id, version)[0]
            if version != image.model_version and path.is_file():
                with contextlib.suppress(MaskError):
                    mask = masks.load(path)
                    return (mask, version) if mask.shape == (image.height, image.width) else None
        return None

    def _versions_on_disk(self) -> list[int]:
        if not self._predictions.is_dir():
            return []
        return [int(place.name) for place in self._predictions.iterdir() if place.name.isdecimal()]

    def keep_previous(
        self, replaced: Iterable[tuple[int, int]], *, version: int | None, but: Set[tuple[int, int]] = frozenset()
    ) -> None:
        """Of predictions (image id, version) that were replaced by ``version``, delete those before them, none ``but``.

        The replaced one stays, to be compared with.
        """
        others = self._versions_on_disk()
        for image_id, before in replaced:
            for other in others:
                if other not in (before, version) and (image_id, other) not in but:
                    self.delete([(image_id, other)])

    def delete(self, predictions: Iterable[tuple[int, int]]) -> None:
        """Delete the files of predictions (image id, version)."""
        for image_id, version in predictions:
            for path in prediction_paths(self._predictions, image_id, version):
                with contextlib.suppress(OSError):  # disposable: an orphan costs only space
                    path.unlink()


def _sound(path: Path, sha256: str | None) -> bytes:
    """Bytes of a file; MaskError only where it is certainly lost or damaged, StorageError where the disk is away."""
    try:
        payload = path.read_bytes()
    except OSError as error:
        if isinstance(error, FileNotFoundError) and path.parents[1].is_dir():
            raise MaskError(f"{path}: is missing") from error
        raise StorageError(f"{path}: cannot be read ({error.strerror}); check the disk and try again") from error
    if sha256 is not None and sha256_of(payload) != sha256:
        raise MaskError(f"{path}: is damaged (its SHA-256 differs)")
    return payload
