"""The catalogue of images: short statements over one SQLite connection, built for 1e6 images."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence, Set
from pathlib import Path
from typing import Any

from labeler.accepts import Accepts
from labeler.candidates import CandidateRows
from labeler.database import Database
from labeler.embeddings import Embeddings
from labeler.errors import ProjectError
from labeler.intake import BACK_TO_POOL, NO_PREDICTION, Intake
from labeler.locations import Locations, text_of
from labeler.records import (
    Brief,
    Counts,
    ImageRecord,
    ImageState,
    LabelOrigin,
    PredictionRecord,
    Split,
    StreamItem,
    UnreadableItem,
)

_IMAGE = """
SELECT i.id, f.folder_id, f.name, i.sha256, i.width, i.height, i.state,
       CASE WHEN i.reason <> '' THEN i.reason ELSE i.note END,
       i.confidence, i.soft_iou, i.stability, i.foreground, i.model_version, l.split, l.origin, i.skips,
       i.signals, i.probe
FROM images i JOIN files f ON f.id = i.file_id LEFT JOIN labels l ON l.id = i.label_id
"""

_BRIEF = """
SELECT i.id, f.name, i.state, i.confidence, i.model_version, i.skips, i.foreground, l.iou,
       CASE WHEN i.state = 'labelled' AND l.id IS NOT NULL THEN (1 << min(l.highest_class, 60)) - 1
            ELSE CAST(coalesce(CASE WHEN i.signals <> '' THEN json_extract(i.signals, '$.classes') END,
                               i.foreground > 0, 0) AS INTEGER) END,
       CASE WHEN i.state = 'labelled' AND l.id IS NOT NULL
            THEN (julianday(l.created) - 2440587.5) * 86400.0 ELSE f.mtime END,
       CASE WHEN i.signals <> '' THEN json_extract(i.signals, '$.kept') END,
       CASE WHEN i.signals <> '' THEN json_extract(i.signals, '$.wrong') END, i.sha256
FROM images i JOIN files f ON f.id = i.file_id LEFT JOIN labels l ON l.id = i.label_id
"""

_GATED = """
UPDATE images SET
    model_version = :version, confidence = :confidence, soft_iou = :soft_iou, stability = :stability,
    foreground = :foreground, prediction_sha256 = :sha256, signals = :signals,
    state = CASE WHEN state NOT IN ('pool', 'queued', 'accepted') THEN state
                 WHEN :confidence >= :threshold AND NOT reserved THEN 'accepted' ELSE 'queued' END
WHERE id = :image_id AND state <> 'unreadable'
    -- A late answer of a retired version does not replace one of the champion.
    AND (model_version IS NOT :champion OR model_version IS NULL OR :version IS :champion)
"""

# The champion sees an accepted mask as it is: it stands, with the version that made it and with its audit.
_LET_STAND = """
UPDATE images SET swept_version = :version
WHERE id = :image_id AND state = 'accepted' AND :version IS :champion AND model_version IS NOT :version
"""

_STATES = {state.value: state for state in ImageState}
_SPLITS = {split.value: split for split in Split}
_ORIGINS = {origin.value: origin for origin in LabelOrigin}


class Catalogue:
    """The tables of images and their current predictions."""

    def __init__(self, database: Database, *, home: Path) -> None:
        """``home`` is the project's folder: images inside it are stored relative to it."""
        self.locations = Locations(database, home=home)
        self.embeddings = Embeddings(database)
        self.candidates = CandidateRows(database)
        self.accepts = Accepts(database)
        self._database = database
        self._home = home
        self._intake = Intake(database, self.locations)

    def add(self, items: Iterable[StreamItem | UnreadableItem], *, probe_share: float = 0.0) -> list[int]:
        """Rows for what a stream found, as ``Intake.add`` tells."""
        return self._intake.add(items, probe_share=probe_share)

    def images(self, *, state: ImageState | None = None, after: int = 0, limit: int | None = None) -> list[ImageRecord]:
        """Images with an id above ``after``, by id."""
        where = "WHERE i.id > ?" + ("" if state is None else " AND i.state = ?")
        values = (after,) if state is None else (after, state)
        query = f"{_IMAGE} {where} ORDER BY i.id LIMIT ?"
        return [self._image(row) for row in self._database.rows(query, (*values, -1 if limit is None else limit))]

    def image(self, image_id: int) -> ImageRecord:
        """One image; ProjectError where there is none with this id."""
        row = self._database.row(f"{_IMAGE} WHERE i.id = ?", (image_id,))
        if row is None:
            raise ProjectError(f"{self._home}: has no image {image_id}; `labeler` lists those it has")
        return self._image(row)

    def briefs(self, *, after: int = 0, limit: int) -> list[Brief]:
        """What lists need of the images with ids above ``after``."""
        query = f"{_BRIEF} WHERE i.id > ? ORDER BY i.id LIMIT ?"
        return [_brief(row) for row in self._database.rows(query, (after, limit))]

    def briefs_of(self, image_ids: Iterable[int]) -> list[Brief]:
        """What lists need of these images; those that are not there are left out."""
        query = f"{_BRIEF} WHERE i.id IN (SELECT value FROM json_each(?))"
        return [_brief(row) for row in self._database.rows(query, (json.dumps(sorted(image_ids)),))]

    def to_predict(self, version: int, *, limit: int, accepted: bool = True) -> list[ImageRecord]:
        """Queue, pool, then ``accepted`` images without a prediction by ``version``; of each, the unsurest first."""
        found: list[tuple[Any, ...]] = []
        query = (
            f"{_IMAGE} WHERE i.state = ? AND i.model_version IS NOT ? AND i.swept_version IS NOT ? "
            "ORDER BY i.confidence, i.id LIMIT ?"
        )
        states = (ImageState.QUEUED, ImageState.POOL, *([ImageState.ACCEPTED] if accepted else []))
        for state in states:
            if len(found) < limit:
                found += self._database.rows(query, (state, version, version, limit - len(found)))
        return [self._image(row) for row in found]

    def images_of(self, image_ids: Sequence[int]) -> list[ImageRecord]:
        """These images, in the order given."""
        rows = self._database.rows(
            f"{_IMAGE} WHERE i.id IN (SELECT value FROM json_each(?))", (json.dumps(list(image_ids)),)
        )
        found = {row[0]: self._image(row) for row in rows}
        return [found[image_id] for image_id in image_ids]

    def some_accepted(self, most: int) -> list[tuple[ImageRecord, str, int]]:
        """Accepted images, SHA-256 of each one's mask, and the newest version that made it or bears it out.

        Of many half the least sure, half by lot.
        """
        state = (ImageState.ACCEPTED,)
        least_sure = self.candidates.lowest("confidence", state, most // 2)
        ids = sorted({*least_sure, *self.candidates.lowest("sha256", state, most // 2)})
        rows = self._database.rows(
            "SELECT id, prediction_sha256, max(model_version, coalesce(swept_version, 0)) FROM images "
            "WHERE id IN (SELECT value FROM json_each(?)) AND model_version IS NOT NULL",
            (json.dumps(ids),),
        )
        made = {image_id: (digest.hex(), version) for image_id, digest, version in rows}
        return [(image, *made[image.image_id]) for image in self.images_of(list(made))]

    def count_accepted(self, sure: float) -> int:
        """How many accepted images have at least this confidence."""
        row = self._database.row("SELECT count(*) FROM images WHERE state = 'accepted' AND confidence >= ?", (sure,))
        return 0 if row is None else int(row[0])

    def core_to_predict(self, version: int, *, most: int) -> list[ImageRecord]:
        """Of the ``most`` newest labelled images of the core those without a prediction by ``version``."""
        newest = json.dumps(self.candidates.newest_labelled(most, split=Split.CORE))
        rows = self._database.rows(
            "SELECT id FROM images WHERE id IN (SELECT value FROM json_each(?)) AND model_version IS NOT ?",
            (newest, version),
        )
        return self.images_of([image_id for (image_id,) in rows])

    def counts(self) -> Counts:
        """How many images are in each state."""
        states = {str(state): int(n) for state, n in self._database.rows("SELECT state, n FROM tallies")}
        splits = dict(
            self._database.rows(
                # From the few labels to the many images; the planner would go the other way.
                "SELECT l.split, count(*) FROM labels l CROSS JOIN images i ON i.id = l.image_id AND i.label_id = l.id "
                "WHERE i.state = 'labelled' GROUP BY l.split"
            )
        )
        return Counts(
            streamed=sum(states.values()),
            **states,
            core=splits.get(Split.CORE, 0),
            holdout=splits.get(Split.HOLDOUT, 0),
        )

    def set_state(self, image_id: int, state: ImageState, *, reason: str) -> None:
        """Another state for one image, with an event. Back in the pool it is predicted again."""
        was = self.image(image_id)
        if was.sha256 == "" and state is not ImageState.UNREADABLE:
            raise ProjectError(f"{was.path}: cannot be read ({was.reason}); mend the file, it is looked at again then")
        if state is ImageState.LABELLED and was.origin is None:
            raise ValueError(f"image {image_id} has no label")
        with self._database.transaction():
            if state is ImageState.POOL:
                self._database.write(BACK_TO_POOL, (image_id,))
            self._database.write("UPDATE images SET state = ?, reason = ? WHERE id = ?", (state, reason, image_id))
            if was.state is not state:
                self._database.log("state", image=image_id, was=was.state, now=state, reason=reason)

    def skip(self, image_id: int) -> None:
        """Count that a person has put the image off."""
        with self._database.transaction():
            self._database.write("UPDATE images SET skips = skips + 1 WHERE id = ?", (image_id,))

    def _image(self, row: tuple[Any, ...]) -> ImageRecord:
        # Dictionaries instead of enum calls: a window on 1e5 images builds this many records at once.
        image_id, folder_id, name, digest, width, height, state, reason, *rest = row
        confidence, soft_iou, stability, foreground, version, split, origin, skips, signals, probe = rest
        return ImageRecord(
            image_id,
            self.locations.folder(folder_id) / text_of(name),
            "" if digest is None else digest.hex(),
            width,
            height,
            _STATES[state],
            reason,
            confidence,
            soft_iou,
            stability,
            foreground,
            version,
            None if split is None else _SPLITS[split],
            None if origin is None else _ORIGINS[origin],
            skips,
            _signals_from(signals),
            bool(probe),
        )

    def record_predictions(
        self,
        records: Sequence[PredictionRecord],
        *,
        threshold: float,
        champion: int | None,
        stands: Set[int] = frozenset(),
    ) -> list[tuple[int, int]]:
        """Figures, gate and accept events in one transaction; (image id, version) of the predictions not needed.

        Accepted masks of the images in ``stands`` are left as they are.
        """
        ids = json.dumps([record.image_id for record in records])
        with self._database.transaction(durable=False):
            before, states = self._predicted_by(ids), self._states_of(ids)
            # What is trained on is no sample of the stream.
            first = [r for r in records if r.image_id not in before and states.get(r.image_id) != ImageState.LABELLED]
            stood = {
                record.image_id: record.model_version
                for record in records
                if record.image_id in stands
                and self._database.write(_LET_STAND, _gated_values(record, threshold, champion)).rowcount
            }
            gated = [record for record in records if record.image_id not in stood]
            self._database.write_many(_GATED, [_gated_values(record, threshold, champion) for record in gated])
            after = self._predicted_by(ids)
            self._log_changes(before, states, self._states_of(ids), version=champion)
            self.accepts.note(after)
            self.accepts.sight(
                (record.image_id, record.model_version, record.soft_iou * record.stability)
                for record in first
                if math.isfinite(record.soft_iou * record.stability)
            )
            kept = after | stood
            self.embeddings.add(record for record in records if kept.get(record.image_id) == record.model_version)
        replaced = [(image_id, version) for image_id, version in before.items() if after.get(image_id) != version]
        return replaced + list(stood.items())

    def prediction(self, image_id: int) -> PredictionRecord | None:
        """The current prediction of an image."""
        row = self._database.row(
            "SELECT model_version, confidence, soft_iou, stability, foreground, signals, prediction_sha256 FROM images "
            "WHERE id = ? AND model_version IS NOT NULL",
            (image_id,),
        )
        if row is None:
            return None
        version, *figures, signals, digest = row
        confidence, soft_iou, stability, foreground = (math.nan if figure is None else figure for figure in figures)
        return PredictionRecord(
            image_id, version, confidence, soft_iou, stability, foreground, digest.hex(), _signals_from(signals)
        )

    def count_to_predict(self, version: int | None) -> int:
        """How many images that no person has decided on have no prediction by ``version``."""
        row = self._database.row(
            "SELECT count(*) FROM images WHERE state IN ('queued', 'pool', 'accepted') "
            "AND (? IS NULL OR (model_version IS NOT ? AND swept_version IS NOT ?))",
            (version, version, version),
        )
        return 0 if row is None else int(row[0])

    def _states_of(self, ids: str) -> dict[int, str]:
        query = "SELECT id, state FROM images WHERE id IN (SELECT value FROM json_each(?))"
        return dict(self._database.rows(query, (ids,)))

    def _log_changes(
        self, before: dict[int, int], was: dict[int, str], now: dict[int, str], *, version: int | None
    ) -> None:
        """What a new model made of images that an older one had decided, for "what did the last round change"."""
        moved = [[image_id, state] for image_id, state in was.items() if image_id in before and now[image_id] != state]
        if moved:
            self._database.log("repredicted", version=version, moved=moved)

    def moved_by(self, version: int) -> dict[int, str]:
        """What became another state since this champion was published: image id -> the state before."""
        published = self._database.events(kind="champion", limit=1)
        since = published[0].event_id if published else 0
        moved: dict[int, str] = {}
        for event in self._database.events(kind="repredicted", limit=100_000):
            if event.event_id > since and event.payload["version"] == version:
                moved.update({int(image_id): str(state) for image_id, state in event.payload["moved"]})
        return moved

    def _predicted_by(self, ids: str) -> dict[int, int]:
        query = (
            "SELECT id, model_version FROM images "
            "WHERE id IN (SELECT value FROM json_each(?)) AND model_version IS NOT NULL"
        )
        return dict(self._database.rows(query, (ids,)))

    def without_looks(self, states: Sequence[ImageState], *, among: int, limit: int) -> list[ImageRecord]:
        """Images that have no embedding, of the first ``among`` by lot."""
        drawn = self.candidates.lowest("sha256", states, among)
        rows = self._database.rows(
            "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT image_id FROM embeddings) LIMIT ?",
            (json.dumps(drawn), limit),
        )
        return self.images_of([image_id for (image_id,) in rows])

    def regate(self, threshold: float) -> tuple[int, int]:
        """States of all undecided images from their confidence; (newly accepted, newly queued)."""
        with self._database.transaction():
            accepted = self._database.write(
                "UPDATE images SET state = 'accepted' WHERE state IN ('queued', 'pool') AND confidence >= ? "
                "AND NOT reserved",
                (threshold,),
            ).rowcount
            queued = self._database.write(
                "UPDATE images SET state = 'queued' WHERE state IN ('accepted', 'pool') AND confidence < ?",
                (threshold,),
            ).rowcount
            self.accepts.note()
            self._database.set_fact("threshold", repr(threshold))
        return accepted, queued

    def forget_prediction(self, image_id: int, *, why: str) -> None:
        """A lost prediction: undecided and accepted images go back to the pool to be predicted again."""
        with self._database.transaction():
            state = "CASE state WHEN 'accepted' THEN 'pool' ELSE state END"
            self._database.write(f"UPDATE images SET {NO_PREDICTION}, state = {state} WHERE id = ?", (image_id,))
            self._database.log("prediction lost", image=image_id, reason=why)


def _signals_from(text: str) -> dict[str, float]:
    return json.loads(text) if text else {}


def _text_of(signals: dict[str, float]) -> str:
    """JSON without what JSON cannot say (NaN, infinity); six digits are more than a signal has."""
    finite = {name: float(f"{value:.6g}") for name, value in signals.items() if math.isfinite(value)}
    return json.dumps(finite, separators=(",", ":")) if finite else ""


def _brief(row: tuple[Any, ...]) -> Brief:
    image_id, name, *figures, digest = row
    return Brief._make((image_id, text_of(name).casefold(), *figures, int.from_bytes((digest or b"")[:7], "big")))


def _gated_values(record: PredictionRecord, threshold: float, champion: int | None) -> dict[str, Any]:
    figures = {name: getattr(record, name) for name in ("confidence", "soft_iou", "stability", "foreground")}
    finite = {name: float(value) if math.isfinite(value) else None for name, value in figures.items()}
    return finite | {
        "image_id": record.image_id,
        "version": record.model_version,
        "signals": _text_of(record.signals),
        "sha256": bytes.fromhex(record.mask_sha256),
        "threshold": threshold,
        "champion": champion,
    }
