"""Prediction of plain images into a new folder, without a project."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from labeler import images
from labeler.errors import ImageError, StreamError
from labeler.formats import move_into_place, new_folder, png, refused, staged_folder
from labeler.formats.manifest import Entry, common_root, name_below, source_folders
from labeler.inference import Predictor
from labeler.records import Image, Mask, Progress, StreamItem, UnreadableItem
from labeler.stream import parse_source, scan

AT_ONCE = 16  # images decoded before they are predicted


@dataclass(frozen=True, slots=True)
class Forecast:
    """What ``predict_images`` has made."""

    folder: Path
    images: int
    unreadable: tuple[UnreadableItem, ...]
    mean_confidence: float | None


def predict_images(source: str, model: Path, out: Path, *, device: str) -> Generator[Progress, None, Forecast]:
    """Predict all images of a source into ``out``, which appears when it is complete.

    StreamError where there is no image at all, CheckpointError for the model, ExportError for ``out``.
    """
    origin = parse_source(source)
    folder = new_folder(out, sources=source_folders([source]))
    predictor = Predictor.load(model, device=device)
    classes = tuple(str(index + 1) for index in range(predictor.classes))
    unreadable: list[UnreadableItem] = []
    confidences: list[float] = []
    try:
        with staged_folder(folder) as staged:
            items: dict[int, StreamItem] = {}
            for item in scan(origin, known={}, frames_folder=staged / "frames"):
                if isinstance(item, UnreadableItem):
                    unreadable.append(item)
                else:
                    items[len(items) + 1] = item
                yield Progress("reading images", len(items), 0)
            entries = _entries(source, items, origin=f"predicted by {model.name}")
            pairs = _predicted(predictor, entries, items, unreadable, confidences)
            for done, _ in enumerate(png.write(staged, pairs, entries, classes), 1):
                yield Progress("predicting", done, len(items))
            if not confidences:
                why = unreadable[0].reason if unreadable else "it holds no image files"
                raise StreamError(f"{source}: there is no image to predict ({why}); choose another source")
            move_into_place(staged, folder)
    except OSError as error:
        raise refused(folder, error) from error
    return Forecast(folder, len(confidences), tuple(unreadable), sum(confidences) / len(confidences))


def _entries(source: str, items: dict[int, StreamItem], *, origin: str) -> list[Entry]:
    root = common_root([source], (item.path for item in items.values()))
    return [
        Entry(
            image_id=index,
            name=name_below(root, item.path),
            width=item.width,
            height=item.height,
            image_sha256=item.sha256,
            origin=origin,
            split="",
            model_version=None,
            confidence=None,
            iou=None,
        )
        for index, item in items.items()
    ]


def _predicted(
    predictor: Predictor,
    entries: Sequence[Entry],
    items: dict[int, StreamItem],
    unreadable: list[UnreadableItem],
    confidences: list[float],
) -> Iterator[tuple[Entry, Mask]]:
    for start in range(0, len(entries), AT_ONCE):
        batch: list[tuple[Entry, Image]] = []
        for entry in entries[start : start + AT_ONCE]:
            item = items[entry.image_id]
            try:
                batch.append((entry, images.load(item.path, sha256=item.sha256)))
            except ImageError as error:  # changed or gone since it was looked at
                unreadable.append(UnreadableItem(item.path, str(error)))
        predictions = predictor.predict([image for _, image in batch])
        for (entry, _), prediction in zip(batch, predictions, strict=True):
            confidences.append(prediction.confidence)
            yield replace(entry, confidence=prediction.confidence), prediction.mask
