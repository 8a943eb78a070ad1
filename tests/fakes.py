"""Fakes at the seams: a session without threads, disk or model, for tests of what the window renders and asks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, Signal

from labeler.editing import MaskEditor
from labeler.loop import Status
from labeler.records import Brief, Counts, ImageRecord, ImageState, VersionRecord, VersionStatus
from labeler.settings import Settings
from labeler.ui.columns import Columns, Ids
from labeler.ui.status import SessionStatus


def image_record(image_id: int, state: ImageState = ImageState.QUEUED, **changes: Any) -> ImageRecord:
    """A record with plausible figures."""
    plain = ImageRecord(
        image_id=image_id,
        path=Path(f"/images/cells_{image_id:04d}.png"),
        sha256=f"{image_id:064x}",
        width=96,
        height=64,
        state=state,
        reason="",
        confidence=None if state is ImageState.POOL else 0.5 + image_id / 1000,
        soft_iou=0.8,
        stability=0.9,
        foreground=0.12,
        model_version=3,
        split=None,
        origin=None,
        skips=0,
    )
    return replace(plain, **changes)


def brief_of(record: ImageRecord) -> Brief:
    """What the lists know of a record."""
    return Brief(
        image_id=record.image_id,
        name=record.path.name.casefold(),
        state=record.state.value,
        confidence=record.confidence,
        version=record.model_version,
        skips=record.skips,
        foreground=record.foreground,
        iou=None,
        classes=int(bool(record.foreground)),
        date=0.0,
        kept=None,
        wrong=record.signals.get("wrong"),
        shuffle=0,
    )


def version_record(version: int, iou: float | None, status: VersionStatus) -> VersionRecord:
    """A model version."""
    return VersionRecord(
        version, Path(f"{version:04d}.safetensors"), "", version - 1 or None, status, 10 + version, 3, iou, iou, ""
    )


def status_of(**changes: Any) -> SessionStatus:
    """A session's status; ``changes`` go to the loop's part or to the texts."""
    texts = {name: changes.pop(name, "") for name in ("stream", "round", "saved")}
    flags = ("is_training", "is_paused", "is_predicting", "can_undo", "can_redo", "can_undo_threshold")
    rest = {name: changes.pop(name, False) for name in flags}
    plain = Status(
        counts=Counts(streamed=40, queued=30, accepted=8, labelled=2, core=2),
        threshold=0.8075,
        champion=3,
        holdout_iou=0.912,
        holdout_count=4,
        new_labels=1,
        labels_until_round=3,
        first_labels=8,
    )
    return SessionStatus(loop=replace(plain, **changes), **texts, **rest)


@dataclass
class FakeLoop:
    """A reason."""

    session: FakeSession
    why: str = ""

    def why_no_round(self) -> str:
        return self.why


@dataclass
class FakeProject:
    """A folder and its settings."""

    folder: Path
    settings: Settings = field(default_factory=Settings)

    def versions(self) -> list[VersionRecord]:
        return []


class FakeSession(QObject):
    """Notes every intent in ``asked``; a test emits the signals itself."""

    opened = Signal()
    closed = Signal()
    images_changed = Signal(object)
    queue_changed = Signal()
    current_changed = Signal(int)
    image_loaded = Signal(int, object, object)
    image_refused = Signal(int)
    mask_changed = Signal(object)
    prediction_changed = Signal(int)
    doubt_changed = Signal(int)
    status_changed = Signal(object)
    round_started = Signal()
    round_progressed = Signal(object)
    round_ended = Signal(object)
    committed = Signal(int)
    drafted = Signal(int, bool)
    message = Signal(str)
    failed = Signal(str, str)
    long_work = Signal(str, int, int)
    thumbnail_ready = Signal(int, object)
    tile_ready = Signal(object)
    offered = Signal(object, object)
    surveyed = Signal(object)
    exported = Signal(object)

    INTENTS = frozenset(
        {
            "open_project",
            "open_images",
            "add_images",
            "open_sample",
            "close_project",
            "survey",
            "save_now",
            "export",
            "stop_work",
        }
        | {"show_image", "show_next", "show_previous", "commit", "skip", "exclude", "restore", "save_settings"}
        | {"set_threshold", "undo_threshold", "undo", "redo", "fill_holes", "remove_specks", "invert", "revert"}
        | {"smooth", "snap", "copy_previous"}
        | {
            "go_on",
            "answer_audit",
            "keep_patch",
            "start_round",
            "pause_round",
            "stop_round",
            "rollback",
            "take",
            "mask_of",
            "want_doubt",
            "request_tile",
        }
    )

    def __init__(self, folder: Path, records: list[ImageRecord] = []) -> None:  # noqa: B006 - never changed
        super().__init__()
        self.asked: list[tuple[Any, ...]] = []
        self.all = {record.image_id: record for record in records}
        self.project: FakeProject | None = None
        self.loop: FakeLoop | None = None
        self.current = -1
        self.is_writable = True
        self.editor: MaskEditor | None = None
        self._folder = folder
        self.views_disagree: Any = None
        self._shown_prediction: Any = None

    def __getattr__(self, name: str) -> Any:
        if name in type(self).INTENTS:
            return lambda *arguments: self.asked.append((name, *arguments))
        raise AttributeError(name)

    def request_thumbnail(self, image_id: int) -> None:
        self.thumbnail_ready.emit(image_id, np.full((30, 40, 3), 80 + image_id % 100, np.uint8))

    def record(self, image_id: int) -> ImageRecord:
        return self.all[image_id]

    @property
    def columns(self) -> Columns:
        return Columns(map(brief_of, self.all.values()))

    def queue_ids(self) -> Ids:
        return self.columns.queue()

    def versions(self) -> list[Any]:
        return []

    def changed_by_round(self) -> frozenset[int]:
        return frozenset()

    def new_in_round(self, number: int) -> frozenset[int]:
        return frozenset({1, 2}) if number == 2 else frozenset()

    def judged(self) -> list[Any]:
        return []

    def prediction(self) -> Any:
        return self._shown_prediction

    def probability(self) -> Any:
        return None if self._shown_prediction is None else self._shown_prediction * np.uint8(200) + np.uint8(20)

    def doubt(self) -> Any:
        return self.views_disagree

    def pyramid(self) -> Any:
        return None

    def next_audit(self) -> None:
        self.asked.append(("next_audit",))

    def evidence(self) -> Any:
        from labeler.evidence import Evidence

        return Evidence()

    def curves(self) -> Any:
        from labeler.ui.plots import Curves

        versions = [
            version_record(1, 0.81, VersionStatus.RETIRED),
            version_record(2, 0.78, VersionStatus.REJECTED),
            version_record(3, 0.912, VersionStatus.CHAMPION),
        ]
        return Curves(streamed=[1, 10, 20, 40], surfaced=[1.0, 0.9, 0.8, 0.75], core=[11, 15, 19], versions=versions)

    # What a test makes happen

    def become_open(self, **status: Any) -> None:
        """A project is open."""
        self.project, self.loop = FakeProject(self._folder), FakeLoop(self)
        self.opened.emit()
        self.images_changed.emit(None)
        self.status_changed.emit(status_of(**status))

    def become_closed(self) -> None:
        """The project is closed."""
        self.project = self.loop = self.editor = None
        self.all.clear()
        self.current = -1
        self.closed.emit()

    def load(self, image_id: int, *, predicted: bool = True) -> MaskEditor:
        """An image is in front of the person."""
        record = self.all[image_id]
        yy, xx = np.mgrid[: record.height, : record.width]
        image = np.stack([(yy * 3) % 256, (xx * 2) % 256, (yy + xx) % 256], -1).astype(np.uint8)
        mask = ((yy - record.height / 2) ** 2 + (xx - record.width / 2) ** 2 < 400).astype(np.uint8)
        self._shown_prediction = mask.copy() if predicted else None
        self.current, self.editor = image_id, MaskEditor(mask)
        self.current_changed.emit(image_id)
        self.image_loaded.emit(image_id, image, self.editor)
        return self.editor
