"""What is exported, where each mask comes from, and the manifest that says so."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import labeler
from labeler.errors import MaskError
from labeler.files import sha256_of_file
from labeler.formats.names import escape
from labeler.project import Project
from labeler.records import ImageRecord, ImageState, LabelRecord, Mask, Split

ACCEPTED_ORIGIN = "accepted by the gate"
MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """One image with its final mask: what a format writes about it.

    ``name`` is the image's path relative to the root of the export, escaped (``names.escape``), each one once.
    """

    image_id: int
    name: str
    width: int
    height: int
    image_sha256: str
    origin: str  # "accepted by the gate", or how a person made it final (LabelOrigin)
    split: str  # "core", "holdout", or "" for accepted masks
    model_version: int | None  # that predicted what was accepted or shown
    confidence: float | None  # of that prediction
    iou: float | None  # of that prediction with the person's mask


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export holds; ``document`` is the content of its manifest.json."""

    folder: Path
    format: str
    origins: dict[str, int]  # origin -> masks
    left_out: tuple[tuple[str, str], ...]  # (name, reason)
    document: dict[str, Any] = field(repr=False)

    @property
    def images(self) -> int:
        """How many masks were exported."""
        return sum(self.origins.values())


@dataclass(frozen=True, slots=True)
class Selection:
    """The entries of one export, frozen at its start, and the folder that their names are relative to."""

    root: Path | None  # None: the images share no folder, names are absolute
    entries: tuple[Entry, ...]


def select(project: Project, *, include_accepted: bool) -> Selection:
    """The core set, or with ``include_accepted`` every labelled and every accepted image."""
    labels = {label.image_id: label for label in project.labels()}
    records = [record for record in project.images() if _wanted(record, labels, include_accepted)]
    root = common_root(project.sources, (record.path for record in records))
    return Selection(root, tuple(_entry(record, labels.get(record.image_id), root) for record in records))


def _wanted(record: ImageRecord, labels: dict[int, LabelRecord], include_accepted: bool) -> bool:
    if record.state is ImageState.LABELLED and record.image_id in labels:
        return include_accepted or labels[record.image_id].split is Split.CORE
    return include_accepted and record.state is ImageState.ACCEPTED


def _entry(record: ImageRecord, label: LabelRecord | None, root: Path | None) -> Entry:
    labelled = label if record.state is ImageState.LABELLED else None
    return Entry(
        record.image_id,
        name_below(root, record.path),
        record.width,
        record.height,
        record.sha256,
        origin=labelled.origin.value if labelled else ACCEPTED_ORIGIN,
        split=labelled.split.value if labelled else "",
        model_version=labelled.model_version if labelled else record.model_version,
        confidence=labelled.confidence if labelled else record.confidence,
        iou=labelled.iou if labelled else None,
    )


def source_folders(sources: Iterable[str]) -> list[Path]:
    """The folders among ``sources``, absolute."""
    return [Path(source).resolve() for source in sources if Path(source).is_dir()]


def common_root(sources: Iterable[str], paths: Iterable[Path]) -> Path | None:
    """The folder that all images of an export lie in: a whole source rather than a part of it."""
    folders = source_folders(sources)
    roots = {next((folder for folder in folders if path.is_relative_to(folder)), path.parent) for path in paths}
    try:
        return Path(os.path.commonpath(roots)) if roots else None
    except ValueError:  # different drives
        return None


def name_below(root: Path | None, path: Path) -> str:
    """The name of an image in an export: its path below ``root``, escaped."""
    return escape((path.relative_to(root) if root else path).as_posix())


def load_masks(project: Project, selection: Selection, left_out: list[tuple[str, str]]) -> Iterator[tuple[Entry, Mask]]:
    """Each entry with its mask; one whose file is lost or damaged goes to ``left_out`` with the reason instead."""
    for entry in selection.entries:
        try:
            yield entry, load_mask(project, entry)
        except MaskError as error:
            left_out.append((entry.name, str(error)))


def load_mask(project: Project, entry: Entry) -> Mask:
    """The final mask of ``entry``; MaskError where it is lost, no longer what was selected, or of unknown classes."""
    mask = project.label_mask(entry.image_id) if entry.origin != ACCEPTED_ORIGIN else _accepted_mask(project, entry)
    if mask.shape != (entry.height, entry.width):
        raise MaskError(f"{entry.name}: the mask has another size than the image; label this image again")
    if mask.max(initial=0) > len(project.settings.classes):
        raise MaskError(f"{entry.name}: the mask holds a class that the project no longer has; label this image again")
    return mask


def _accepted_mask(project: Project, entry: Entry) -> Mask:
    found = project.prediction(entry.image_id)
    if found is None or found[2].model_version != entry.model_version:
        raise MaskError(f"{entry.name}: the accepted mask is lost; predict this image again")
    return found[0]


def fingerprint(mask: Mask) -> str:
    """SHA-256 over the size and every pixel of ``mask``: equal only if all pixels are."""
    return hashlib.sha256(repr(mask.shape).encode() + mask.tobytes()).hexdigest()


def build(
    project: Project,
    selection: Selection,
    entries: list[Entry],
    *,
    left_out: list[tuple[str, str]],
    format: str,
    staged: Path,
    folder: Path,
) -> Manifest:
    """The manifest of the files that lie in ``staged`` and will be ``folder``."""
    origins = dict(Counter(entry.origin for entry in entries))
    used = {entry.model_version for entry in entries}
    document = {
        "format": format,
        "program": f"labeler {labeler.__version__}",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "image_root": escape(selection.root.as_posix()) if selection.root else None,
        "sources": [escape(source) for source in project.sources],
        "classes": {str(index): name for index, name in enumerate(project.settings.classes, 1)},
        "settings": project.settings.model_dump(mode="json"),
        "images": len(entries),
        "origins": origins,
        "models": [
            {
                "version": version.version,
                "sha256": version.sha256,
                "parent": version.parent,
                "status": version.status.value,
                "core_count": version.core_count,
                "holdout_count": version.holdout_count,
                "holdout_iou": version.holdout_iou,
                "created": version.created,
                "predicted_exported_masks": version.version in used,
            }
            for version in project.versions()
        ],
        "items": [asdict(entry) for entry in entries],
        "left_out": [{"name": name, "reason": reason} for name, reason in left_out],
        "files": {
            path.relative_to(staged).as_posix(): sha256_of_file(path)
            for path in sorted(staged.rglob("*"))
            if path.is_file()
        },
    }
    return Manifest(folder, format, origins, tuple(left_out), document)
