"""What lies in a folder, looked at before anything is written; a generator, so that a huge folder blocks nothing."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from labeler import images, masks
from labeler.errors import LabelerError

LOOKED_INTO = 60  # files that are decoded; the rest is only counted
_LISTED_A_STEP = 500


@dataclass(frozen=True, slots=True)
class ScanSummary:
    """What is known so far; ``looked_into`` files were decoded, spread over the whole list."""

    folder: Path
    images: int = 0
    masks_folder: Path | None = None
    pairs: int = 0
    looked_into: int = 0
    deep: int = 0  # more than 8 bits
    rotated: int = 0  # turned upright by their EXIF tag
    unreadable: tuple[tuple[Path, str], ...] = ()
    done: bool = False


def look_into(folder: Path) -> Generator[ScanSummary, None, None]:
    """Count the images of ``folder``, pair them with masks, decode a sample; yields the summary so far."""
    summary = ScanSummary(folder)
    found: list[Path] = []
    for path in _walk(folder):
        found.append(path)
        if len(found) % _LISTED_A_STEP == 0:
            summary = replace(summary, images=len(found))
            yield summary
    found.sort()
    summary = replace(summary, images=len(found))
    yield summary
    for candidate in (folder / "masks", folder.parent / "masks"):
        if candidate.is_dir() and candidate != folder:
            own = [path for path in found if candidate not in path.parents]
            pairs = len(masks.find_pairs(own, candidate))
            if pairs:
                summary = replace(summary, masks_folder=candidate, pairs=pairs)
                break
    stride = max(1, len(found) // LOOKED_INTO)
    for path in found[::stride][:LOOKED_INTO]:
        summary = _with(summary, path)
        yield summary
    yield replace(summary, done=True)


def _with(summary: ScanSummary, path: Path) -> ScanSummary:
    summary = replace(summary, looked_into=summary.looked_into + 1)
    try:
        decoded = images.decode(path.read_bytes(), name=path.name)
    except (LabelerError, OSError) as error:
        return replace(summary, unreadable=(*summary.unreadable, (path, str(error))))
    return replace(
        summary, deep=summary.deep + (decoded.bit_depth > 8), rotated=summary.rotated + bool(decoded.oriented)
    )


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = Path(place, name)
            if path.suffix.lower() in images.SUFFIXES and not name.startswith("."):
                yield path
