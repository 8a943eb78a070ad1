"""What people and rounds have made: the tables of labels, model versions and rounds."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from labeler.database import Database
from labeler.errors import ProjectError
from labeler.records import LabelOrigin, LabelRecord, Split, VersionRecord, VersionStatus

_LABEL = """
SELECT l.id, l.image_id, l.revision, l.mask_sha256, l.origin, l.split, l.seconds, l.created,
       l.confidence, l.iou, l.model_version
FROM labels l JOIN images i ON i.id = l.image_id
"""

_VERSION = """
SELECT version, name, sha256, parent, status, core_count, holdout_count, holdout_iou, core_iou, created, metrics, bundle
FROM versions
"""


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One retraining. ``version`` is None where it made none; IoU are means over the holdout, 0..1."""

    round_id: int
    started: str
    seconds: float
    steps: int
    core_count: int
    version: int | None
    published: bool
    champion_iou: float | None
    challenger_iou: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class NewLabel:
    """A label before it has a row: what ``commit_label`` was given and what it found out."""

    image_id: int
    revision: int
    mask_sha256: str
    highest_class: int
    origin: LabelOrigin
    split: Split
    seconds: float
    created: str
    confidence: float | None
    iou: float | None
    model_version: int | None


class Ledger:
    """Labels, model versions and rounds of one project."""

    def __init__(self, database: Database, *, masks: Path, models: Path) -> None:
        self._database = database
        self._masks = masks
        self._models = models

    def mask_path(self, image_id: int, revision: int) -> Path:
        """Where a revision's mask lies."""
        return self._masks / f"{image_id}-{revision}.png"

    # Labels

    def labels(self, *, split: Split | None = None) -> list[LabelRecord]:
        """The valid label of each labelled image, in the order in which they were made."""
        where = "WHERE i.label_id = l.id AND i.state = 'labelled'" + ("" if split is None else " AND l.split = ?")
        rows = self._database.rows(f"{_LABEL} {where} ORDER BY l.id", () if split is None else (split,))
        return [self._label(row) for row in rows]

    def count_labels(self, *, split: Split, after: int) -> int:
        """How many of the ``labels`` of ``split`` have an id above ``after``."""
        row = self._database.row(
            "SELECT count(*) FROM labels l CROSS JOIN images i ON i.id = l.image_id AND i.label_id = l.id "
            "WHERE l.id > ? AND l.split = ? AND i.state = 'labelled'",
            (after, split),
        )
        return 0 if row is None else int(row[0])

    def has_empty_label(self) -> bool:
        """Whether a person has ever labelled an image as holding nothing."""
        return self._database.row("SELECT 1 FROM labels WHERE highest_class = 0 LIMIT 1") is not None

    def label(self, image_id: int) -> LabelRecord | None:
        """The valid label of an image, whatever its state."""
        row = self._database.row(f"{_LABEL} WHERE l.id = i.label_id AND i.id = ?", (image_id,))
        return None if row is None else self._label(row)

    def revisions(self, image_id: int) -> list[LabelRecord]:
        """All labels of an image that are not known to be damaged, oldest first."""
        query = f"{_LABEL} WHERE l.image_id = ? AND NOT l.damaged ORDER BY l.revision"
        return [self._label(row) for row in self._database.rows(query, (image_id,))]

    def judged(self, image_ids: Sequence[int]) -> set[tuple[int, int]]:
        """(image id, model version) of the predictions of these images that their labels were compared with."""
        rows = self._database.rows(
            "SELECT image_id, model_version FROM labels WHERE model_version IS NOT NULL "
            "AND image_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(image_ids)),),
        )
        return set(rows)

    def next_revision(self, image_id: int) -> int:
        """A number that no label of the image has, damaged ones included."""
        row = self._database.row("SELECT max(revision) FROM labels WHERE image_id = ?", (image_id,))
        return 1 if row is None or row[0] is None else int(row[0]) + 1

    def split(self, image_id: int) -> Split | None:
        """What the image's labels have been for; damaged ones count: what was trained on never judges."""
        query = "SELECT split FROM labels WHERE image_id = ? ORDER BY revision DESC LIMIT 1"
        row = self._database.row(query, (image_id,))
        return None if row is None else Split(row[0])

    def add_label(self, label: NewLabel) -> LabelRecord:
        """The row of a mask whose file is on the disk; the image is labelled from now on."""
        with self._database.transaction():
            label_id = self._database.write(
                "INSERT INTO labels (image_id, revision, mask_sha256, highest_class, origin, split, seconds, created, "
                "confidence, iou, model_version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    label.image_id,
                    label.revision,
                    bytes.fromhex(label.mask_sha256),
                    label.highest_class,
                    label.origin,
                    label.split,
                    label.seconds,
                    label.created,
                    label.confidence,
                    label.iou,
                    label.model_version,
                ),
            ).lastrowid
            self._database.write(
                "UPDATE images SET label_id = ?, state = 'labelled', reason = '' WHERE id = ?",
                (label_id, label.image_id),
            )
            self._database.log(
                "labelled", image=label.image_id, revision=label.revision, origin=label.origin, split=label.split
            )
        record = self.label(label.image_id)
        assert record is not None
        return record

    def quarantine(self, label: LabelRecord, *, why: str) -> LabelRecord | None:
        """Give up a damaged revision for the one before; None where none is left: the image waits for a person."""
        with self._database.transaction():
            self._database.write("UPDATE labels SET damaged = 1 WHERE id = ?", (label.label_id,))
            left = self.revisions(label.image_id)
            previous = left[-1] if left else None
            if previous is not None:
                self._database.write("UPDATE images SET label_id = ? WHERE id = ?", (previous.label_id, label.image_id))
            else:
                self._database.write(
                    "UPDATE images SET label_id = NULL, reason = 'its mask was damaged', "
                    "state = CASE state WHEN 'labelled' THEN 'queued' ELSE state END WHERE id = ?",
                    (label.image_id,),
                )
            self._database.log(
                "mask damaged",
                image=label.image_id,
                revision=label.revision,
                restored=None if previous is None else previous.revision,
                reason=why,
            )
        return previous

    def highest_class(self) -> int:
        """The highest class that a label uses."""
        row = self._database.row("SELECT max(highest_class) FROM labels")
        return 0 if row is None or row[0] is None else int(row[0])

    def _label(self, row: tuple[Any, ...]) -> LabelRecord:
        label_id, image_id, revision, digest, origin, split, seconds, created, confidence, iou, version = row
        return LabelRecord(
            label_id=label_id,
            image_id=image_id,
            revision=revision,
            mask_path=self.mask_path(image_id, revision),
            mask_sha256=digest.hex(),
            origin=LabelOrigin(origin),
            split=Split(split),
            seconds=seconds,
            created=created,
            confidence=confidence,
            iou=iou,
            model_version=version,
        )

    # Model versions

    def add_version(self, record: VersionRecord) -> None:
        """The row of a model whose file is on the disk; a champion retires the one before."""
        with self._database.transaction():
            if record.status is VersionStatus.CHAMPION:
                self._retire_champion()
            try:
                self._database.write(
                    "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        record.version,
                        record.path.name,
                        bytes.fromhex(record.sha256),
                        record.parent,
                        record.status,
                        record.core_count,
                        record.holdout_count,
                        record.holdout_iou,
                        record.core_iou,
                        record.created,
                        json.dumps(record.metrics, default=str),
                        record.bundle,
                    ),
                )
            except sqlite3.IntegrityError as error:
                raise ProjectError(f"{record.path}: version {record.version} is in the project already") from error
            self._database.log("version", version=record.version, status=record.status, parent=record.parent)

    def set_champion(self, version: int) -> None:
        """Use another version; ProjectError where there is none of this number."""
        with self._database.transaction():
            before = self.champion()
            self._retire_champion()
            changed = self._database.write("UPDATE versions SET status = 'champion' WHERE version = ?", (version,))
            if changed.rowcount == 0:
                raise ProjectError(f"{self._models}: has no version {version}; `labeler models` lists those it has")
            self._database.log("champion", version=version, before=None if before is None else before.version)

    def _retire_champion(self) -> None:
        self._database.write("UPDATE versions SET status = 'retired' WHERE status = 'champion'")

    def versions(self) -> list[VersionRecord]:
        """All versions, oldest first."""
        return [self._version(row) for row in self._database.rows(f"{_VERSION} ORDER BY version")]

    def champion(self) -> VersionRecord | None:
        """The version in use."""
        row = self._database.row(f"{_VERSION} WHERE status = 'champion'")
        return None if row is None else self._version(row)

    def next_version(self) -> int:
        """A number that no version has."""
        row = self._database.row("SELECT coalesce(max(version), 0) + 1 FROM versions")
        assert row is not None
        return int(row[0])

    def _version(self, row: tuple[Any, ...]) -> VersionRecord:
        version, name, digest, parent, status, *figures, created, metrics, bundle = row
        core_count, holdout_count, holdout_iou, core_iou = figures
        return VersionRecord(
            version=version,
            path=self._models / name,
            sha256=digest.hex(),
            parent=parent,
            status=VersionStatus(status),
            core_count=core_count,
            holdout_count=holdout_count,
            holdout_iou=holdout_iou,
            core_iou=core_iou,
            created=created,
            metrics=json.loads(metrics),
            bundle=bundle,
        )

    # Rounds

    def add_round(
        self,
        *,
        started: str,
        seconds: float,
        steps: int,
        core_count: int,
        version: int | None,
        published: bool,
        champion_iou: float | None,
        challenger_iou: float | None,
        reason: str,
    ) -> int:
        """The row of a round that has ended, well or not; its id."""
        with self._database.transaction():
            round_id = self._database.write(
                "INSERT INTO rounds (started, seconds, steps, core_count, version, published, champion_iou, "
                "challenger_iou, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (started, seconds, steps, core_count, version, published, champion_iou, challenger_iou, reason),
            ).lastrowid
            self._database.log("round", round=round_id, version=version, published=published, reason=reason)
        assert round_id is not None
        return round_id

    def rounds(self) -> list[RoundRecord]:
        """All rounds, oldest first."""
        query = (
            "SELECT id, started, seconds, steps, core_count, version, published, champion_iou, challenger_iou, reason "
            "FROM rounds ORDER BY id"
        )
        return [replace(RoundRecord(*row), published=bool(row[6])) for row in self._database.rows(query)]
