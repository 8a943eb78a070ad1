"""A new catalogue from the files: every mask tells of which image it is, so that labels outlive a damaged database."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labeler import layout, masks, projectfile, provenance, schema
from labeler.bundle import Bundle
from labeler.database import Database, now
from labeler.errors import MaskError
from labeler.files import metrics_of, sha256_of, sha256_of_file
from labeler.ledger import Ledger, NewLabel
from labeler.locations import Locations
from labeler.records import LabelOrigin, Split, VersionRecord, VersionStatus


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was found: ``aside`` is the old catalogue, ``skipped`` the files that told nothing sound."""

    labels: int
    versions: int
    skipped: tuple[Path, ...]
    aside: Path | None


def rebuild(folder: Path) -> Rebuilt:
    """Move a project's catalogue aside and make a new one from its masks and models.

    Images that nobody labelled, predictions, rounds and events are not in files: the next scan finds the images again.
    ProjectLocked while the project is open.
    """
    folder = folder.absolute()
    content = projectfile.load(folder)
    layout.make_folders(folder)
    with layout.locked(folder) as lock:
        fresh = folder / f"{layout.CATALOGUE}.rebuilt"
        for leftover in folder.glob(f"{fresh.name}*"):
            leftover.unlink()
        database = Database(schema.create(fresh), fresh)
        try:
            with database.transaction():
                database.set_fact("threshold", repr(content.settings.threshold))
                database.set_fact("folder", os.fsencode(folder).hex())
                ledger = Ledger(database, masks=folder / "masks", models=folder / "models")
                labels, skipped = _adopt_masks(folder, database, ledger)
                versions = _adopt_models(folder, database, ledger)
                database.log("rebuilt", labels=labels, versions=versions, skipped=[path.name for path in skipped])
        finally:
            database.close()
        aside = _move_aside(folder)
        fresh.replace(folder / layout.CATALOGUE)
        lock.release()
    return Rebuilt(labels, versions, tuple(skipped), aside)


def _adopt_masks(folder: Path, database: Database, ledger: Ledger) -> tuple[int, list[Path]]:
    locations = Locations(database, home=folder)
    found: list[tuple[int, int, Path]] = []
    skipped: list[Path] = []
    for path in sorted((folder / "masks").glob("*.png")):
        name = path.stem.partition("-")
        if name[0].isdecimal() and name[2].isdecimal():
            found.append((int(name[0]), int(name[2]), path))
        else:
            skipped.append(path)
    labels = 0
    for image_id, revision, path in sorted(found):
        try:
            _adopt_mask(path, image_id, revision, database, ledger, locations)
            labels += 1
        except (MaskError, ValueError, KeyError, TypeError):
            skipped.append(path)
    # What lies at these paths today was not looked at: the next scan does.
    database.write("UPDATE files SET size = -1")
    return labels, skipped


def _adopt_mask(
    path: Path, image_id: int, revision: int, database: Database, ledger: Ledger, locations: Locations
) -> None:
    payload = path.read_bytes()
    facts = provenance.facts_of(payload)
    if facts is None:
        raise MaskError(f"{path}: does not tell of which image it is")
    mask = masks.decode(payload, name=str(path))
    label = _label(facts, image_id, revision, mask_sha256=sha256_of(payload), highest_class=int(mask.max(initial=0)))
    digest = bytes.fromhex(facts["image_sha256"])
    row = database.row("SELECT id FROM images WHERE id = ? OR sha256 = ?", (image_id, digest))
    if row is None:
        file_id, _ = locations.seen(locations.home / str(facts["path"]))
        height, width = mask.shape
        database.write(
            "INSERT INTO images (id, sha256, file_id, width, height, state) VALUES (?, ?, ?, ?, ?, 'pool')",
            (image_id, digest, file_id, width, height),
        )
        database.write("UPDATE files SET image_id = ? WHERE id = ?", (image_id, file_id))
    elif row[0] != image_id or database.row("SELECT 1 FROM images WHERE id = ? AND sha256 = ?", (*row, digest)) is None:
        raise MaskError(f"{path}: belongs to another image")
    ledger.add_label(label)


def _label(facts: dict[str, Any], image_id: int, revision: int, *, mask_sha256: str, highest_class: int) -> NewLabel:
    def number(key: str) -> float | None:
        return None if facts[key] is None else float(facts[key])

    return NewLabel(
        image_id=image_id,
        revision=revision,
        mask_sha256=mask_sha256,
        highest_class=highest_class,
        origin=LabelOrigin(facts["origin"]),
        split=Split(facts["split"]),
        seconds=float(facts["seconds"]),
        created=str(facts["created"]),
        confidence=number("confidence"),
        iou=number("iou"),
        model_version=None if facts["model_version"] is None else int(facts["model_version"]),
    )


def _adopt_models(folder: Path, database: Database, ledger: Ledger) -> int:
    """All models; the one whose predictions people saw last is champion, else the newest."""
    paths = sorted(path for path in (folder / "models").glob("*.safetensors") if path.stem.isdecimal())
    numbers = [int(path.stem) for path in paths]
    row = database.row("SELECT max(model_version) FROM labels")
    seen = None if row is None else row[0]
    champion = seen if seen in numbers else max(numbers, default=None)
    for number, path in zip(numbers, paths, strict=True):
        status = VersionStatus.CHAMPION if number == champion else VersionStatus.RETIRED
        ledger.add_version(_version(number, path, status))
    return len(paths)


def _version(number: int, path: Path, status: VersionStatus) -> VersionRecord:
    """A version with the figures of its JSON file, as far as they can be what they claim."""
    told = metrics_of(path)
    return VersionRecord(
        version=number,
        path=path,
        sha256=sha256_of_file(path),
        parent=None,
        status=status,
        core_count=_count(told.get("core_count")),
        holdout_count=_count(told.get("holdout_count")),
        holdout_iou=_iou(told.get("holdout_iou")),
        core_iou=_iou(told.get("core_iou")),
        created=now(),
        metrics={"long": True} if told.get("long") is True else {},
        bundle=_bundle(told.get("bundle")),
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0


def _iou(value: object) -> float | None:
    return value if isinstance(value, float) and 0 <= value <= 1 else None


def _bundle(value: object) -> str:
    text = json.dumps(value)
    try:
        Bundle.from_text(text)
    except ValueError:
        return ""
    return text


def _move_aside(folder: Path) -> Path | None:
    number = 1
    while list(folder.glob(f"{layout.CATALOGUE}.damaged-{number}*")):
        number += 1
    aside = folder / f"{layout.CATALOGUE}.damaged-{number}"
    # The log goes first: it must never be taken for that of the new catalogue.
    for suffix in ("-wal", "-shm", ""):
        old = folder / f"{layout.CATALOGUE}{suffix}"
        if old.exists():
            old.replace(f"{aside}{suffix}")
    return aside if aside.exists() else None
