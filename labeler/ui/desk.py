"""The image in front of the person: its editor, its journal, and what keeps a draft from being lost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal, Slot

from labeler.editing import Entry, MaskEditor, Patch
from labeler.errors import LabelerError, MaskError
from labeler.images import Pyramid
from labeler.journal import Journal
from labeler.records import Image, ImageState, LabelRecord, Mask
from labeler.ui.haste import Haste
from labeler.ui.pictures import Pictures

if TYPE_CHECKING:
    from labeler.loop import Loop

IDLE_S = 60.0  # a longer pause is no work on the image
GREETING_S = 3.0  # in which an image that came by itself may give way to the one that turns out to come first


class Desk(QObject):
    """One image at a time. Every finished edit is in the image's journal before the next one can be made."""

    current_changed = Signal(int)  # image_id or -1
    image_loaded = Signal(int, object, object)  # image_id, image, MaskEditor
    image_refused = Signal(int)  # it cannot be shown; ``failed`` says why, or its record does
    mask_changed = Signal(object)  # Rect
    prediction_changed = Signal(int)
    drafted = Signal(int, bool)
    edited = Signal()
    message = Signal(str)
    failed = Signal(str, object)  # title, exception

    def __init__(self, pictures: Pictures, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pictures = pictures
        self._loop: Loop | None = None
        self._journal: Journal | None = None
        self._kept: dict[int, MaskEditor] = {}  # editors whose journal could not be written
        self._unsaved = False  # the journal of the current image lacks an edit
        self._prediction: tuple[Mask, NDArray[np.uint8]] | None = None
        self.pyramid: Pyramid | None = None  # of the image shown
        self._greeted = (-1, 0.0)  # the image that came by itself, and when
        self.is_refused = False  # whether the current image could not be opened
        self._drafted = False
        self._presenting = False
        self._haste = Haste()
        self._worked_s = 0.0
        self._touched = 0.0
        self.current = -1
        self.editor: MaskEditor | None = None
        self.saved_at: float | None = None  # time.monotonic() of the last write
        pictures.loaded.connect(self._present)
        pictures.failed.connect(self._refuse)

    @property
    def unsaved(self) -> list[int]:
        """Images with edits that are only in memory, because the disk refused them."""
        return [*self._kept, *([self.current] if self._unsaved else [])]

    def open(self, loop: Loop) -> None:
        """Work on this project."""
        self._loop = loop

    def close(self) -> None:
        """Put the image away and forget the project; drafts stay in their journals."""
        self.put_away()
        self._kept.clear()
        self._loop = None

    # Showing

    def show(self, image_id: int) -> None:
        """Put another image in front of the person; what is drawn on this one is kept. -1 shows none."""
        if self._loop is None or (image_id == self.current and (image_id < 0 or self.editor is not None)):
            return
        self.put_away()
        self.current, self.is_refused = image_id, False
        self._loop.in_hand = image_id if image_id >= 0 else None
        self.current_changed.emit(image_id)
        if image_id < 0:
            return
        if self._loop.project.image(image_id).state is ImageState.UNREADABLE:  # known, and the record says why
            self.image_refused.emit(image_id)
        else:
            self._pictures.show(image_id)

    def greet(self, image_id: int) -> None:
        """Show an image that nobody has chosen."""
        self.show(image_id)
        self._greeted = image_id, time.monotonic()

    @property
    def gives_way(self) -> bool:
        """Whether the image shown has come just now, by itself, and nobody has touched it."""
        greeted, since = self._greeted
        is_untouched = self.editor is None or not self.editor.is_changed
        return greeted == self.current and is_untouched and time.monotonic() - since < GREETING_S

    def put_away(self) -> None:
        """End the stroke in hand, save the draft and leave the desk empty."""
        if self.editor is None:
            self.current = -1
            return
        self.finish_stroke()
        if self._unsaved:
            self._kept[self.current] = self.editor
        elif self._journal is not None and not self.editor.is_changed:
            self._journal.discard()  # all was undone: an image with a draft is held back from the gate
        elif self._journal is not None:
            self._journal.close()
        self._journal = None
        self.editor = self.pyramid = self._prediction = None
        self._unsaved = self._drafted = False
        self.current = -1
        if self._loop is not None:
            self._loop.in_hand = None

    @Slot(int, object)
    def _present(self, image_id: int, pyramid: Pyramid) -> None:
        if self._loop is None or image_id != self.current:
            return
        image = pyramid.image
        try:
            prediction = self._stored_prediction()
            editor = self._restored(image_id, image) or self._opened(prediction)
            self._check_size(editor, image, image_id)
        except LabelerError as error:
            self._refuse(image_id, error)
            return
        self.editor, self.pyramid = editor, pyramid
        self._prediction = prediction
        self._worked_s, self._touched = 0.0, time.monotonic()
        self._presenting = True
        self.image_loaded.emit(image_id, image, editor)
        self._presenting = False
        self._tell_drafted()

    def _opened(self, prediction: tuple[Mask, NDArray[np.uint8]] | None) -> MaskEditor:
        """With what the loop says; but a prediction that has been decoded is not decoded again."""
        assert self._loop is not None
        record = self._loop.project.image(self.current)
        if record.origin is not None:
            return MaskEditor(self._loop.opening_mask(self.current))
        return MaskEditor.blank((record.height, record.width)) if prediction is None else MaskEditor(prediction[0])

    def _check_size(self, editor: MaskEditor, image: Image, image_id: int) -> None:
        if editor.mask.shape != image.shape[:2]:
            raise MaskError(
                f"image {image_id}: its mask has another size than the image; exclude it or restore the file"
            )

    def _restored(self, image_id: int, image: Image) -> MaskEditor | None:
        """The editor with the draft that was left of this image; None where there is none."""
        assert self._loop is not None
        if not self._loop.project.is_writable:
            return None  # the drafts are those of whoever has the project open
        kept = self._kept.pop(image_id, None)
        if kept is not None:
            self._unsaved = True
            return kept
        path = self._loop.project.journal_path(image_id)
        was_there = path.exists()
        found = Journal.resume(path)
        if found is None:
            if was_there:
                self.message.emit(self.tr("The drawing on this image was damaged on the disk and has been set aside."))
            return None
        self._journal, draft = found
        if draft.base.shape != image.shape[:2]:
            self._journal.close()
            self._journal = None
            raise MaskError(f"{path}: is of an image of another size; delete it to start anew")
        editor = MaskEditor(draft.base)
        editor.restore(draft.entries)
        return editor

    def mask_of(self, image_id: int) -> Mask | None:
        """The mask of another image: as it was drawn last, else as labelled or predicted; LabelerError if damaged."""
        assert self._loop is not None
        if (kept := self._kept.get(image_id)) is not None:
            return kept.mask
        draft = Journal.replay(self._loop.project.journal_path(image_id))
        return self._loop.opening_mask(image_id) if draft is None else draft.mask()

    @Slot(int, object)
    def _refuse(self, image_id: int, error: Exception) -> None:
        if image_id == self.current:
            self.is_refused = True
            self.image_refused.emit(image_id)
            self.failed.emit(self.tr("The image cannot be opened"), error)

    # The prediction behind it

    def prediction(self) -> Mask | None:
        """The current prediction of the image shown."""
        return None if self._prediction is None else self._prediction[0]

    def probability(self) -> NDArray[np.uint8] | None:
        """What the model thinks of each pixel of the image shown, 0..255 for foreground."""
        return None if self._prediction is None else self._prediction[1]

    def _stored_prediction(self) -> tuple[Mask, NDArray[np.uint8]] | None:
        if self._loop is None or self.current < 0:
            return None
        if (ahead := self._pictures.prediction(self.current)) is not None:
            return ahead
        stored = self._loop.project.prediction(self.current)
        return None if stored is None else stored[:2]

    def take_prediction(self) -> None:
        """A new prediction of the image shown has come: an untouched mask follows it, a drafted one stays."""
        editor = self.editor
        if editor is None or self._loop is None:
            return
        self._prediction = self._stored_prediction()
        self.prediction_changed.emit(self.current)
        touched = editor.in_stroke or editor.can_undo or editor.can_redo or self._journal is not None
        if touched or self._unsaved:
            return
        fresh = self._loop.opening_mask(self.current)
        if fresh.shape == editor.mask.shape and not np.array_equal(fresh, editor.mask):
            editor.rebase(fresh)
            self.mask_changed.emit((0, 0, *editor.mask.shape))

    # Editing

    def finish_stroke(self) -> None:
        """End the stroke in hand, as when the image is changed in the middle of it."""
        if self.editor is not None and (patch := self.editor.end_stroke()) is not None:
            self.keep(patch)

    def keep(self, entry: Entry) -> None:
        """Write an edit that has been made to the journal; a disk that refuses leaves it in memory and says so."""
        # While an image is being presented, what ends is a stroke on the one before, which has been put away.
        if self.editor is None or self._loop is None or self._presenting or not self._loop.project.is_writable:
            return
        self._touch()
        try:
            self._append(entry)
        except LabelerError as error:
            if not self._unsaved:
                self.failed.emit(self.tr("Not saved: the drawing is kept in memory"), error)
            self._unsaved = True
        else:
            self.saved_at = time.monotonic()
        self._tell_drafted()
        self.edited.emit()

    def _append(self, entry: Entry) -> None:
        assert self.editor is not None
        assert self._loop is not None
        path = self._loop.project.journal_path(self.current)
        if self._unsaved:  # the journal lacks earlier edits: begin it anew with what there is
            self.save_now()
        elif self._journal is None:
            self._journal = Journal.start(path, self.editor.base, empty=self.editor.begins_empty)
            self._journal.append(entry)
        else:
            self._journal.append(entry)

    def save_now(self) -> None:
        """Write the whole draft of the image shown again; StorageError where the disk still refuses.

        The strokes become one edit: their history is in memory only, but no pixel is lost.
        """
        if self.editor is None or self._loop is None or not self._unsaved:
            return
        if self._journal is not None:
            self._journal.close()
        base = self.editor.base
        path = self._loop.project.journal_path(self.current)
        self._journal = Journal.start(path, base, empty=self.editor.begins_empty)
        whole = MaskEditor(base).replace(self.editor.mask, "draft")
        if whole is not None:
            self._journal.append(whole)
        self._unsaved = False
        self.saved_at = time.monotonic()

    def apply(self, patch: Patch | None) -> None:
        """Show and keep an edit that the editor has just made at once, such as fill holes."""
        if patch is not None:
            self.mask_changed.emit(patch.rect)
            self.keep(patch)

    def undo(self) -> bool:
        """Take the last edit of this image back; False where there is none."""
        return self._step("undo")

    def redo(self) -> bool:
        """Do the last undone edit again; False where there is none."""
        return self._step("redo")

    def _step(self, step: str) -> bool:
        if self.editor is None:
            return False
        patch = self.editor.undo() if step == "undo" else self.editor.redo()
        if patch is None:
            return False
        self.mask_changed.emit(patch.rect)
        self.keep("undo" if step == "undo" else "redo")
        return True

    def _tell_drafted(self) -> None:
        drafted = self.editor is not None and self.editor.is_changed
        if drafted != self._drafted:
            self._drafted = drafted
            self.drafted.emit(self.current, drafted)

    def _touch(self) -> None:
        now = time.monotonic()
        self._worked_s += min(now - self._touched, IDLE_S)
        self._touched = now

    # Deciding

    def asks_again(self) -> bool:
        """Whether to look again before the mask is final: a model's, taken as it is, the last of several in haste."""
        self._touch()
        is_accept = self.editor is not None and not self.editor.is_changed and self._prediction is not None
        return self._haste.asks(self._worked_s, is_accept=is_accept)

    def commit(self) -> LabelRecord:
        """Make the mask final and delete its journal. LabelerError where that fails: the draft stays as it is."""
        assert self.editor is not None
        assert self._loop is not None
        self.finish_stroke()
        self._touch()
        label = self._loop.commit(self.current, self.editor.mask, seconds=round(self._worked_s, 2))
        self.saved_at = time.monotonic()
        self.discard_draft()
        return label

    def discard_draft(self) -> None:
        """Delete the journal of the image shown and clear the desk; its edits are committed or not wanted."""
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.discard()
        if self._drafted:
            self.drafted.emit(self.current, False)
        self.editor = None
        self._unsaved = self._drafted = False
