"""Masks as PNG: ``masks/<name of the image>.png``, the class index per pixel, and ``index.csv``.

With one class the pixels are 0 and 1, which most viewers show as black; ``index.csv`` tells which mask belongs to
which image and where it comes from.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from labeler import masks
from labeler.errors import MaskError
from labeler.files import write_atomically
from labeler.formats.manifest import Entry
from labeler.formats.names import csv_cell, mask_names, unescape
from labeler.records import Mask

INDEX_NAME = "index.csv"
COLUMNS = (
    "image",
    "mask",
    "width",
    "height",
    "origin",
    "split",
    "model_version",
    "confidence",
    "iou",
    "image_sha256",
    "mask_sha256",
)


def write(
    folder: Path, pairs: Iterable[tuple[Entry, Mask]], entries: Iterable[Entry], _: tuple[str, ...]
) -> Iterator[Entry]:
    """Write each mask of ``pairs``, a step each; the index at the end. ``entries`` are all that may come."""
    (folder / "masks").mkdir()
    stems = mask_names((entry.image_id, entry.name) for entry in entries)
    rows: list[list[str]] = []
    for entry, mask in pairs:
        name = f"masks/{stems[entry.image_id]}.png"
        # The rename of the whole folder makes it durable; a sync for each file would cost 2 ms a mask.
        sha256 = masks.save(folder / name, mask, durable=False)
        rows.append(_row(entry, name, sha256))
        yield entry
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    write_atomically(folder / INDEX_NAME, text.getvalue().encode())


def _row(entry: Entry, mask_name: str, mask_sha256: str) -> list[str]:
    figures = (entry.model_version, entry.confidence, entry.iou)
    return [
        csv_cell(entry.name),
        csv_cell(mask_name),
        str(entry.width),
        str(entry.height),
        entry.origin,
        entry.split,
        *("" if figure is None else str(figure) for figure in figures),
        entry.image_sha256,
        mask_sha256,
    ]


def read(folder: Path) -> Iterator[tuple[str, Mask]]:
    """(name of the image, mask) for each row of the index; MaskError where a file is missing or damaged."""
    with (folder / INDEX_NAME).open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            mask = masks.load(folder / row["mask"], sha256=row["mask_sha256"])
            if mask.shape != (int(row["height"]), int(row["width"])):
                raise MaskError(f"{row['mask']}: has another size than its image; export again")
            yield unescape(row["image"]), mask
