"""Who answers instead of a person: reference masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labeler import masks
from labeler.errors import MaskError
from labeler.records import ImageRecord, Mask


class ReferenceOracle:
    """Masks from a folder, found by the name of the image; any image format, any size that fits its image."""

    def __init__(self, folder: Path, *, classes: int = 1) -> None:
        if not folder.is_dir():
            raise MaskError(f"{folder}: is no folder; name the folder with the reference masks")
        self.folder, self.classes = folder, classes
        self._listed: dict[str, list[Path]] = {}

    def paths(self, records: Sequence[ImageRecord]) -> dict[int, Path]:
        """Image id -> mask file, for the images that have one."""
        self._listed = masks.by_stem(self.folder)
        found = masks.pair_with([record.path for record in records], self._listed)
        return {record.image_id: found[record.path] for record in records if record.path in found}

    def mask(self, record: ImageRecord) -> Mask:
        """The reference mask of one image; MaskError where there is none or it does not fit."""
        path = self._path(record)
        if path is None:
            raise MaskError(f"{record.path.name}: no reference mask in {self.folder}; add one or remove the image")
        mask = masks.load_reference(path, classes=self.classes)
        return masks.checked(mask, shape=(record.height, record.width), classes=self.classes, name=str(path))

    def _path(self, record: ImageRecord) -> Path | None:
        """From the last listing of the folder; where that misses, a mask may have come or been renamed since."""
        path = masks.pair_with([record.path], self._listed).get(record.path)
        if path is not None and path.is_file():
            return path
        return self.paths([record]).get(record.image_id)
