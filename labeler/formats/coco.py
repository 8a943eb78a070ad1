"""COCO: one ``annotations.json`` with a category for each class and run-length encoded regions.

Each image has one annotation for each class that occurs in it, with all pixels of that class as one compressed RLE
and ``iscrowd`` 0. Holes and separate parts are kept exactly, which polygons could not do; objects of one class are not
told apart. An image with an empty mask has no annotation, but it is listed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

import labeler
from labeler.errors import MaskError
from labeler.files import write_atomically
from labeler.formats.manifest import Entry
from labeler.formats.names import unescape
from labeler.records import Mask

ANNOTATIONS_NAME = "annotations.json"


def write(
    folder: Path, pairs: Iterable[tuple[Entry, Mask]], _: Iterable[Entry], classes: tuple[str, ...]
) -> Iterator[Entry]:
    """Encode each mask of ``pairs``, a step each; the file is written at the end."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for entry, mask in pairs:
        images.append(_image(entry))
        for class_index in np.unique(mask[mask > 0]):
            annotation = {"id": len(annotations) + 1, "image_id": entry.image_id, "category_id": int(class_index)}
            annotations.append(annotation | region(mask == class_index))
        yield entry
    document = {
        "info": {
            "description": "exported by labeler",
            "version": labeler.__version__,
            "year": datetime.now(UTC).year,
            "date_created": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        "licenses": [],
        "categories": [{"id": index, "name": name, "supercategory": ""} for index, name in enumerate(classes, 1)],
        "images": images,
        "annotations": annotations,
    }
    write_atomically(folder / ANNOTATIONS_NAME, json.dumps(document, ensure_ascii=False, indent=1).encode())


def _image(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.image_id,
        "file_name": entry.name,
        "width": entry.width,
        "height": entry.height,
        "sha256": entry.image_sha256,
        "origin": entry.origin,
        "split": entry.split,
        "model_version": entry.model_version,
        "confidence": entry.confidence,
    }


def region(pixels: NDArray[np.bool_]) -> dict[str, Any]:
    """The COCO fields of one region, (H, W) bool."""
    encoded = rle.encode(np.asfortranarray(pixels, dtype=np.uint8))
    return {
        "segmentation": {"size": [int(side) for side in encoded["size"]], "counts": encoded["counts"].decode("ascii")},
        "area": int(rle.area(encoded)),
        "bbox": [float(side) for side in rle.toBbox(encoded)],
        "iscrowd": 0,
    }


def read(folder: Path) -> Iterator[tuple[str, Mask]]:
    """(name of the image, mask) for each image of the file; MaskError where a region does not fit its image."""
    document = json.loads((folder / ANNOTATIONS_NAME).read_text("utf-8"))
    regions: dict[int, list[dict[str, Any]]] = {}
    for annotation in document["annotations"]:
        regions.setdefault(annotation["image_id"], []).append(annotation)
    for image in document["images"]:
        mask = np.zeros((image["height"], image["width"]), np.uint8)
        for annotation in regions.get(image["id"], []):
            segmentation = annotation["segmentation"]
            if tuple(segmentation["size"]) != mask.shape:
                raise MaskError(f"{image['file_name']}: a region has another size than its image; export again")
            mask[decode(segmentation["counts"], mask.shape)] = annotation["category_id"]
        yield unescape(image["file_name"]), mask


def decode(counts: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The (H, W) region of a compressed RLE; MaskError unless its runs fill the image exactly.

    Own code, because pycocotools writes past its buffer where the runs do not add up.
    """
    codes = np.frombuffer(counts.encode("ascii", "replace"), np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero((codes & 0x20) == 0)
    if not codes.size or codes.min() < 0 or codes.max() > 63 or ends.size == 0 or ends[-1] != codes.size - 1:
        raise MaskError("a run-length code is damaged; export again")
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > 10:  # 50 bits: more than any image has pixels
        raise MaskError("a run-length code is damaged; export again")
    place = np.arange(codes.size) - np.repeat(starts, lengths)
    runs = np.add.reduceat((codes & 0x1F) << (5 * place), starts)
    runs -= np.where(codes[ends] & 0x10, np.int64(1) << (5 * lengths), 0)  # two's complement
    # From the fourth run on, each is stored as the difference to the one before the last.
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    if runs.min() < 0 or runs.sum() != shape[0] * shape[1]:
        raise MaskError("the runs of a region do not fill its image; export again")
    columns = np.repeat(np.arange(runs.size) % 2 == 1, runs)
    return columns.reshape(shape[::-1]).T
