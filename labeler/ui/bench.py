"""The open project and everything that works on it: the parts of a session, and how their news travel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer, Slot

from labeler.editing import MaskEditor
from labeler.errors import CatalogueDamaged, LabelerError, ProjectLocked, StorageError
from labeler.images import Pyramid
from labeler.project import Project
from labeler.records import Image, ImageRecord, ImageState, Mask, Progress, Split
from labeler.ui.announcer import Announcer, Remedy, log
from labeler.ui.columns import Columns, Ids
from labeler.ui.desk import Desk
from labeler.ui.doubting import Doubting
from labeler.ui.engine import Engine
from labeler.ui.exporting import Exporting
from labeler.ui.intake import Intake
from labeler.ui.pictures import Pictures
from labeler.ui.predicting import Predicting
from labeler.ui.rounds import Rounds
from labeler.ui.rows import Rows
from labeler.ui.starting import Mending, Starting, Survey
from labeler.ui.status import SessionStatus, saved_text, viewed_text
from labeler.ui.threshold import ThresholdHistory
from labeler.ui.tiles import Tiles
from labeler.ui.wording import time_left
from labeler.ui.worker import Lane
from labeler.waiting import FRONT

if TYPE_CHECKING:
    from labeler.formats import Manifest
    from labeler.loop import Loop
    from labeler.rebuild import Rebuilt
    from labeler.ui.plots import Curves

_TICK_MS = 1000
_SEEN = 1000  # images on the way back


class Bench(Announcer):
    """Owns the project, the loop and the threads; the intents of a person are added by ``Session``."""

    def __init__(self, engine: Engine | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        engine = engine or Engine()
        self._lane = Lane(self)
        self._starting, self._survey = Starting(self._lane, engine, self), Survey(self)
        self._mending = Mending(self._lane, self)
        self._pictures, self._intake, self._exporting = Pictures(self), Intake(self), Exporting(self)
        self._tiles = Tiles(self)
        self._desk = Desk(self._pictures, self)
        self._predicting = Predicting(self._lane, engine, self)
        self._doubting = Doubting(self._lane, engine, self)
        self._rounds = Rounds(self._lane, engine, self)
        self._rows = Rows(self)
        self._threshold = ThresholdHistory()
        self._project: Project | None = None
        self._loop: Loop | None = None
        self._seen: list[int] = []  # images shown, for the way back
        self._tick = QTimer(self, interval=_TICK_MS)
        self._relay()
        self._listen()

    def _relay(self) -> None:
        desk, rounds = self._desk, self._rounds
        for signal, news in (
            (desk.current_changed, self.current_changed),
            (desk.image_loaded, self.image_loaded),
            (desk.image_refused, self.image_refused),
            (desk.mask_changed, self.mask_changed),
            (desk.prediction_changed, self.prediction_changed),
            (desk.drafted, self.drafted),
            (desk.message, self.message),
            (self._doubting.changed, self.doubt_changed),
            (rounds.started, self.round_started),
            (rounds.progressed, self.round_progressed),
            (rounds.ended, self.round_ended),
            (self._pictures.thumbnail_ready, self.thumbnail_ready),
            (self._tiles.ready, self.tile_ready),
            (self._survey.surveyed, self.surveyed),
        ):
            signal.connect(news)

    def _listen(self) -> None:
        self._starting.waiting.connect(self._tell_waiting)
        self._starting.failed.connect(self._blame_engine)
        self._mending.mended.connect(self._take_rebuilt)
        self._mending.failed.connect(self._fail_rebuild)
        self._survey.failed.connect(self._blame_source)
        self._desk.failed.connect(self._blame)
        self._desk.edited.connect(self._note_edit)
        self._desk.current_changed.connect(self._predict_shown)
        self._desk.image_loaded.connect(self._prepare_next)
        self._desk.image_loaded.connect(self._doubt_shown)
        self._desk.current_changed.connect(self._doubting.look_away)
        self._doubting.failed.connect(self._blame_doubt)
        self._rounds.started.connect(self._tell_status)
        self._rounds.ended.connect(self._tell_status)
        self._rounds.published.connect(self._adopt_champion)
        self._rounds.refused.connect(self._blame_round)
        self._predicting.predicted.connect(self._note_predictions)
        self._predicting.caught_up.connect(self._greet_again)
        self._predicting.failed.connect(self._blame_model)
        self._predicting.fell_back.connect(self._tell_fallback)
        self._intake.added.connect(self._note_images)
        self._intake.said.connect(self._tell_status)
        self._intake.failed.connect(self._blame_source)
        self._intake.noticed.connect(self.message)
        self._exporting.progressed.connect(self._tell_export)
        self._exporting.ended.connect(self._end_export)
        self._exporting.failed.connect(self._fail_export)
        self._rows.told.connect(self._tell)
        self._tick.timeout.connect(self._tell_status)

    # The project

    def _open(self, make: Callable[[], Project], model: Path | None, folder: Path | None = None) -> None:
        from labeler.loop import Loop  # imports torch: by now the lane has done so

        self.close_project()
        try:
            project = make()
        except LabelerError as error:
            self._blame(self.tr("The project cannot be opened"), error)
            self._offer_way_out(error, folder)
            return
        self._project, self._loop = project, Loop(project)
        if model is not None and project.champion() is None:
            with self._blaming(self.tr("The model cannot be used; the project starts without one")):
                self._loop.adopt_model(model)
        self._pictures.open(project)
        self._rows.open(project)
        self._desk.open(self._loop)
        self.opened.emit()
        if not project.is_writable:
            self._rows.note_all()
            self._tick.start()
            return
        if drafts := project.drafts():
            self.show_image(drafts[0])
            self.message.emit(self.tr("Your drawings that were not accepted yet are back: {}").format(len(drafts)))
        self._rows.note_all()
        self._tick.start()
        self._rounds.open(self._loop)
        self._predicting.open(self._loop)
        self._doubting.open(self._loop)
        self._intake.open(project)

    def _offer_way_out(self, error: LabelerError, folder: Path | None) -> None:
        if folder is not None and isinstance(error, CatalogueDamaged):
            self.offered.emit(Remedy.REBUILD, folder)
        elif folder is not None and isinstance(error, ProjectLocked | StorageError):
            self.offered.emit(Remedy.VIEW, folder)

    @Slot(object, object)
    def _take_rebuilt(self, folder: Path, made: Rebuilt) -> None:
        self.long_work.emit("", 0, -1)
        text = self.tr("The catalogue was made again: {:,} labels, {:,} models.").format(made.labels, made.versions)
        self._open(lambda: Project.open(folder), None, folder)
        self.message.emit(text)

    @Slot(object)
    def _fail_rebuild(self, error: Exception) -> None:
        self.long_work.emit("", 0, -1)
        self._blame(self.tr("The catalogue was not rebuilt"), error)

    def close_project(self) -> None:
        """Save, stop what runs for the project, and close it; nothing works on it any more afterwards."""
        self._starting.forget()
        if self._project is None:
            return
        self._tick.stop()
        self._rows.close()
        self.stop_work()
        self._intake.close()
        self._desk.close()
        self._rounds.close()
        self._predicting.close()
        self._doubting.close()
        if not self._lane.drain():
            log.error("the compute lane did not let go of %s", self._project.folder)
        self._pictures.close()
        self._tiles.forget()
        self._threshold = ThresholdHistory()
        self._seen.clear()
        project, self._project, self._loop = self._project, None, None
        with self._blaming(self.tr("The project was not closed properly")):
            project.close()
        self.current_changed.emit(-1)
        self.closed.emit()

    def shut_down(self) -> bool:
        """Close everything and end every thread; False if one does not end."""
        self.close_project()
        self._survey.stop()
        parts = (self._lane, self._survey, self._pictures, self._tiles, self._exporting)
        ended = [part.shut_down() for part in parts]
        return all(ended)

    # The image shown

    def show_image(self, image_id: int) -> None:
        """Put an image in front of the person; what is drawn on the one shown is kept."""
        if self._loop is None or image_id == self.current:
            return
        if self.current >= 0:
            self._seen = [*self._seen[-_SEEN:], self.current]
        self._desk.show(image_id)

    def _following(self, image_id: int) -> int:
        """The image after ``image_id`` in the order of the queue, around its end; -1 for none."""
        waiting = self.queue_ids()
        at = np.flatnonzero(waiting == image_id)
        return self._first_of(np.roll(waiting, -int(at[0])) if len(at) else waiting, image_id)

    def _first_but(self, image_id: int) -> int:
        """The image that waits in front of all others, after a decision on ``image_id``; -1 for none."""
        return self._first_of(self.queue_ids(), image_id)

    def _first_of(self, waiting: Ids, image_id: int) -> int:
        # The columns may be some frames old: what was decided meanwhile does not wait any more.
        states = (ImageState.QUEUED, ImageState.POOL)
        others = (int(other) for other in waiting if other != image_id)
        return next((other for other in others if self.record(other).state in states), -1)

    @Slot()
    def _prepare_next(self) -> None:
        # A decision leads to the first that waits, no decision to the one behind this.
        likely = dict.fromkeys((self._first_but(self.current), self._following(self.current)))
        self._pictures.prefetch([image_id for image_id in likely if image_id >= 0])
        self._tell_status()

    @Slot(int)
    def _predict_shown(self, image_id: int) -> None:
        if image_id >= 0:
            self._predicting.predict_front(image_id)

    @Slot(int, object, object)
    def _doubt_shown(self, image_id: int, image: Image, _editor: MaskEditor) -> None:
        self._doubting.look_at(image_id, image)

    @Slot()
    def _note_edit(self) -> None:
        self._threshold.note_stroke()
        self._tell_status()

    # News

    def _note_gate(self) -> None:
        self._rows.note_all()
        self._rounds.consider()
        self._tell_status()

    @Slot()
    def _adopt_champion(self) -> None:
        self._rows.note_all()
        self._predicting.start_over()
        self._predict_shown(self.current)
        self._doubting.start_over()
        self._tell_status()

    @Slot(int)
    def _tell_fallback(self, version: int) -> None:
        self.message.emit(self.tr("Model v{} is in use again.").format(version))
        self._adopt_champion()

    def stop_work(self) -> None:
        """Give up what the strip tells of: a project that waits for the engine, or an export and all it has written."""
        self._starting.forget()
        if self._exporting.is_running:
            self._exporting.stop()
            self.long_work.emit("", 0, -1)

    @Slot(object, float)
    def _tell_export(self, progress: Progress, left: float) -> None:
        text = self.tr("Exporting")
        self.long_work.emit(f"{text} · {time_left(left)}" if left else text, progress.done, progress.total)

    @Slot(object)
    def _end_export(self, manifest: Manifest) -> None:
        self.long_work.emit("", 0, -1)
        if self._project is not None:
            with self._blaming(self.tr("The export was not noted in the project")):
                from labeler.formats import note_export  # its libraries are there by now

                note_export(self._project, manifest)
        text = self.tr("{:,} masks exported to {}").format(manifest.images, manifest.folder)
        if manifest.left_out:
            text += " · " + self.tr("{:,} left out, see its manifest").format(len(manifest.left_out))
        self.message.emit(text)
        self.exported.emit(manifest)

    @Slot(object)
    def _fail_export(self, error: Exception) -> None:
        self.long_work.emit("", 0, -1)
        self._blame(self.tr("Nothing was exported"), error)

    @Slot(object)
    def _note_images(self, added: set[int]) -> None:
        self._rows.note(added)
        self._predicting.pump()

    @Slot(object)
    def _note_predictions(self, image_ids: set[int]) -> None:
        self._rows.note(image_ids)
        if self.current in image_ids:
            self._desk.take_prediction()

    @Slot(object)
    def _tell(self, changed: set[int] | None) -> None:
        self.images_changed.emit(changed)
        self.queue_changed.emit()
        self._tell_status()
        if self.current < 0 and (waiting := self._following(-1)) >= 0:
            self._desk.greet(waiting)
        self._rounds.consider()

    @Slot()
    def _greet_again(self) -> None:
        """The order of the queue is known: what came before it was gives way."""
        if self._desk.gives_way and (first := self._following(-1)) >= 0:
            self._desk.show(first)

    @Slot()
    def _tell_status(self) -> None:
        status = self.status()
        if status is not None:
            self.status_changed.emit(status)

    # Reading

    @property
    def project(self) -> Project | None:
        """The open project."""
        return self._project

    @property
    def is_writable(self) -> bool:
        """Whether the open project is more than looked at."""
        return self._project is not None and self._project.is_writable

    @property
    def loop(self) -> Loop | None:
        """The loop of the open project."""
        return self._loop

    @property
    def current(self) -> int:
        """The image in front of the person, -1 for none."""
        return self._desk.current

    @property
    def editor(self) -> MaskEditor | None:
        """The mask being edited."""
        return self._desk.editor

    @property
    def is_refused(self) -> bool:
        """Whether the current image could not be opened: it can be skipped or left out, not drawn on."""
        return self._desk.is_refused

    def prediction(self) -> Mask | None:
        """The prediction of the image shown, to compare with."""
        return self._desk.prediction()

    def probability(self) -> NDArray[np.uint8] | None:
        """Foreground, 0..255, as predicted for the image shown."""
        return self._desk.probability()

    def doubt(self) -> NDArray[np.uint8] | None:
        """Where views of the image shown disagree (H, W), 0..255; None until that was asked for and has come."""
        return self._doubting.heat

    def pyramid(self) -> Pyramid | None:
        """The image shown as it is looked at."""
        return self._desk.pyramid

    def record(self, image_id: int) -> ImageRecord:
        """One image of the open project."""
        assert self._project is not None
        return self._project.image(image_id)

    @property
    def columns(self) -> Columns:
        """The figures of all images of the open project as they were last told, none without one."""
        return self._rows.columns

    def queue_ids(self) -> Ids:
        """The images that wait for a person: the front in the order of the settings, behind it the least confident.

        Before the first model all of them wait, some typical ones in front of a random order.
        """
        if self._project is None or self._loop is None:
            return np.zeros(0, np.int64)
        front = np.array(self._loop.waiting(limit=FRONT), np.int64)
        told = self.columns.queue(cold=self._project.champion() is None)
        return np.concatenate([front, told[~np.isin(told, front)]])

    def curves(self) -> Curves:
        """The series of the Progress panel."""
        from labeler.ui import series  # imports the plots, which the start page does not need

        assert self._project is not None
        return series.curves_of(self._project, self._rows.columns)

    def new_in_round(self, number: int) -> frozenset[int]:
        """The images whose labels were new in a round of the Progress panel, the first of which is 1."""
        from labeler.ui import series

        return frozenset() if self._project is None else series.new_in_round(self._project, number)

    def core_images(self) -> frozenset[int]:
        """The images that are trained on: those behind the curves of a round."""
        labels = [] if self._project is None else self._project.labels(split=Split.CORE)
        return frozenset(label.image_id for label in labels)

    def status(self) -> SessionStatus | None:
        """What ``status_changed`` tells; None without a project."""
        if self._loop is None:
            return None
        editor = self._desk.editor
        return SessionStatus(
            loop=self._loop.status(),
            stream=self._intake.text,
            round=self._rounds.text(),
            saved=saved_text(self._desk.saved_at, len(self._desk.unsaved)) if self.is_writable else viewed_text(),
            is_training=self._rounds.is_running,
            is_paused=self._rounds.is_paused,
            is_predicting=self._predicting.is_running,
            can_undo=self._threshold.is_last or (editor is not None and editor.can_undo),
            can_redo=editor is not None and editor.can_redo,
            can_undo_threshold=self._threshold.can_undo,
        )

    @property
    def can_undo_threshold(self) -> bool:
        """Whether the threshold was changed since the project was opened."""
        return self._threshold.can_undo
