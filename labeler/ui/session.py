"""The only translator between core and signals: intents in, news out. Lives on the main thread, owns the project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from labeler.editing import MaskEditor, Patch
from labeler.errors import LabelerError
from labeler.files import shipped
from labeler.project import Project
from labeler.records import ImageState, Mask
from labeler.review import Judged, Kind, MaskVersion, judged, mask_of, versions_of
from labeler.settings import Settings
from labeler.ui import opening
from labeler.ui.bench import Bench
from labeler.ui.told import told

if TYPE_CHECKING:
    from labeler.evidence import Evidence
    from labeler.loop import Loop
    from labeler.ui.auditing import AuditCase


class Session(Bench):
    """One window's work on one project at a time: what a person can ask for."""

    # Opening and closing

    def warm_up(self) -> None:
        """Import what computes, on the lane; the program calls it once its window is visible."""
        self._starting.warm_up()

    def survey(self, folder: Path) -> None:
        """Look through a folder without writing anything; ``surveyed`` follows."""
        self._survey.start(folder)

    def open_project(self, folder: Path) -> None:
        """Open a project; ``opened`` or ``failed`` follows."""
        self._open_when_ready(lambda: Project.open(folder), folder=folder)

    def view_project(self, folder: Path) -> None:
        """Look at a project that is open elsewhere or cannot be written: nothing can be changed."""
        self._open_when_ready(lambda: Project.view(folder), folder=folder)

    def rebuild_project(self, folder: Path) -> None:
        """Make the catalogue of a project again from its masks and models, then open it."""
        self.close_project()
        self.long_work.emit(self.tr("Rebuilding the catalogue from the masks"), 0, 0)
        self._mending.start(folder)

    def open_images(self, folder: Path | str, project_folder: Path | None = None, model: Path | None = None) -> None:
        """Work on a folder of images (or another source): in its project, which is made if there is none."""
        self._open_when_ready(lambda: opening.of_images(folder, project_folder), model, folder=project_folder)

    def add_images(self, folder: Path) -> None:
        """Read and watch one more folder for the project that is open."""
        if self._project is not None:
            with self._blaming(self.tr("The images were not added")):
                opening.add_images(self._project, folder)
                self._intake.open(self._project)

    def open_sample(self) -> None:
        """Work on the sample: generated ships and the shipped net, in a project of the person's own."""
        self._open_when_ready(opening.of_sample, shipped(opening.SAMPLE_MODEL))

    def _open_when_ready(
        self, make: Callable[[], Project], model: Path | None = None, *, folder: Path | None = None
    ) -> None:
        self._survey.stop()
        self._starting.when_ready(lambda: self._open(make, model, folder))

    # The image in front of the person

    def show_next(self) -> None:
        """The image after this one in the queue; no decision is made on this one."""
        following = self._following(self.current)
        if following >= 0:
            self.show_image(following)
        elif self.current < 0 or self._loop is None:
            return
        else:
            self.message.emit(self.tr("No other image waits for you."))

    def show_previous(self) -> None:
        """The image that was shown before this one."""
        if self._seen:
            self._desk.show(self._seen.pop())

    def keep_patch(self, patch: Patch) -> None:
        """The canvas has finished an edit: write it to the journal."""
        self._desk.keep(patch)

    def fill_holes(self) -> None:
        """Fill background that is enclosed by foreground."""
        self._edit(lambda editor: editor.fill_holes())

    def remove_specks(self, smaller_than: int) -> None:
        """Clear connected parts of fewer pixels."""
        self._edit(lambda editor: editor.remove_specks(smaller_than))

    def smooth(self) -> None:
        """Round the outlines."""
        self._edit(lambda editor: editor.smooth())

    def snap(self) -> None:
        """Move the outlines to the edges of the image."""
        pyramid = self.pyramid()
        if pyramid is not None:
            self._edit(lambda editor: editor.snap(pyramid.levels[0]))

    def invert(self, value: int = 1) -> None:
        """Make the background this class and all foreground background."""
        self._edit(lambda editor: editor.invert(value=value))

    def copy_previous(self) -> None:
        """Take over the mask of the image shown before this one, as one edit."""
        editor, before = self._desk.editor, self._seen[-1] if self._seen else -1
        if editor is None or self._loop is None:
            return
        with self._blaming(self.tr("The mask was not copied")):
            mask = None if before < 0 else self._desk.mask_of(before)
            if mask is None:
                self.message.emit(self.tr("There is no previous image with a mask."))
            elif mask.shape != editor.mask.shape:
                self.message.emit(self.tr("The previous image has another size."))
            else:
                self._edit(lambda editor: editor.replace(mask, "copy previous"))

    def revert(self) -> None:
        """Make the mask the prediction again."""
        prediction = self.prediction()
        if prediction is not None:
            self._edit(lambda editor: editor.replace(prediction, "revert"))

    def _edit(self, make: Callable[[MaskEditor], Patch | None]) -> None:
        if self._desk.editor is not None:
            self._desk.finish_stroke()
            self._desk.apply(make(self._desk.editor))

    def undo(self) -> None:
        """Take back what was done last: a stroke on this image, or a change of the threshold with no stroke since."""
        if self._threshold.is_last:
            self.undo_threshold()
        else:
            self._desk.undo()

    def redo(self) -> None:
        """Do the last undone edit of this image again."""
        self._desk.redo()

    def save_now(self) -> None:
        """Write what is not written yet; everything finished is written already."""
        with self._blaming(self.tr("Not saved: the drawing is kept in memory")):
            self._desk.finish_stroke()
            self._desk.save_now()
        self._tell_status()

    def want_doubt(self, wanted: bool) -> None:
        """Find out where views of the image shown disagree, and of those after it; ``doubt_changed`` follows."""
        self._doubting.want(wanted)

    # Review

    def versions(self) -> list[MaskVersion]:
        """Every mask of the image in front: the one in hand, labels, predictions, and none at all."""
        if self._project is None or self.current < 0:
            return []
        in_hand = [MaskVersion(Kind.IN_HAND)] if self.editor is not None else []
        return [*in_hand, *versions_of(self._project, self.current), MaskVersion(Kind.NOTHING)]

    def mask_of(self, version: MaskVersion) -> Mask:
        """One of ``versions``; MaskError where it is gone."""
        if version.kind is Kind.IN_HAND and self.editor is not None:
            return self.editor.mask.copy()
        assert self._project is not None
        return mask_of(self._project, self.current, version)

    def take(self, version: MaskVersion) -> None:
        """Go on from one of ``versions``; undo brings back what was in hand."""
        with self._blaming(self.tr("This mask cannot be opened")):
            mask = self.mask_of(version)
            self._edit(lambda editor: editor.replace(mask, "version"))

    def changed_by_round(self) -> frozenset[int]:
        """The images whose state or mask the last published model changed."""
        champion = None if self._project is None else self._project.champion()
        if self._project is None or champion is None:
            return frozenset()
        redrawn = self.columns.redrawn(champion.version).tolist()
        return frozenset(redrawn).union(self._project.moved_by_round())  # `|` with the keys of a dict gives a set

    def judged(self) -> list[Judged]:
        """The labels that can be compared with a prediction, the worst predicted first."""
        return [] if self._project is None else judged(self._project)

    def request_tile(self, item: Judged) -> None:
        """``tile_ready`` follows."""
        if self._project is not None:
            self._tiles.request(self._project, item)

    # Decisions

    def commit(self) -> None:
        """Make the mask of this image final and show the first one of the queue."""
        if self._desk.editor is None:
            return
        if self._desk.asks_again():
            self.message.emit(self.tr("That was faster than a glance, several times. Please look at this one again."))
            return
        image_id, editor = self.current, self._desk.editor
        is_blank = not editor.is_changed and self._desk.prediction() is None and not editor.mask.any()
        try:
            self._desk.commit()
        except LabelerError as error:
            self._blame(self.tr("Not saved: the drawing is kept"), error)
            return
        self.committed.emit(image_id)
        if is_blank:
            self.message.emit(
                self.tr("Saved as an image that shows no object. If it does, go back to it (A) and draw.")
            )
        self._rounds.note_label()
        self._go_on(image_id)

    def skip(self) -> None:
        """Put this image behind the others of the queue and show the first of them."""
        self._decide(lambda loop, image_id: loop.skip(image_id))

    def exclude(self) -> None:
        """Leave this image out of everything and show the first one of the queue."""
        self._decide(lambda loop, image_id: loop.exclude(image_id))

    def _decide(self, act: Callable[[Loop, int], None]) -> None:
        if self._loop is None or self.current < 0:
            return
        image_id = self.current
        with self._blaming(self.tr("Not saved")):
            act(self._loop, image_id)
            self._go_on(image_id)

    def _go_on(self, image_id: int) -> None:
        self._rows.note({image_id})
        self._rows.tell()  # the decision is in the columns before they are asked what comes next
        following = self._first_but(image_id)
        if following >= 0:
            self.show_image(following)
        else:
            self._seen.append(image_id)
            self._desk.show(-1)

    def restore(self, image_id: int) -> None:
        """Bring an excluded image back."""
        if self._loop is not None:
            with self._blaming(self.tr("Not saved")):
                self._loop.restore(image_id)
                self._rows.note({image_id})
                self._rows.tell()
                self._predicting.pump()
                self._predict_shown(self.current)

    # The gate

    def set_threshold(self, threshold: float) -> None:
        """Accept from this confidence on; everything that no person decided on is gated again at once."""
        if self._loop is None or threshold == self._loop.project.settings.threshold:
            return
        before = self._loop.project.settings.threshold
        with self._blaming(self.tr("The threshold stays as it was")):
            self._loop.set_threshold(threshold)
            self._threshold.note_change(before)
            self._note_gate()

    def undo_threshold(self) -> None:
        """Take the last change of the threshold back."""
        before = self._threshold.back()
        if self._loop is not None and before is not None:
            with self._blaming(self.tr("The threshold stays as it was")):
                self._loop.set_threshold(before)
                self._note_gate()

    # Trust

    def next_audit(self) -> AuditCase | None:
        """The next accepted mask to judge, or None; blind repeats among them."""
        from labeler import images
        from labeler.ui.auditing import AuditCase

        lost: set[int] = set()
        while self._loop is not None and (accept := self._loop.trust.next_audit(but=lost)) is not None:
            record, mask = self._loop.project.image(accept.image_id), self._loop.trust.audit_mask(accept)
            assert mask is not None
            try:
                image = images.load(self._loop.project.resolve(accept.image_id), sha256=record.sha256)
            except LabelerError as error:
                lost.add(accept.image_id)
                self._blame(self.tr("An audit cannot be shown; it counts as wrong"), error)
            else:
                return AuditCase(accept.accept_id, accept.image_id, image, mask, self._waiting_audits())
        return None

    def _waiting_audits(self) -> int:
        return 0 if self._loop is None else max(1, self._loop.project.accepts.count_pending())

    def answer_audit(self, accept_id: int, wrong: bool, seconds: float) -> None:
        """Write down what a person said of an accepted mask; a wrong one comes to the canvas."""
        from labeler.accepts import Answer

        if self._loop is None or (accept := self._loop.project.accepts.accept(accept_id)) is None:
            return
        with self._blaming(self.tr("The answer was not kept")):
            self._loop.trust.answer(accept, Answer.WRONG if wrong else Answer.RIGHT, seconds=round(seconds, 2))
            self._rows.note({accept.image_id})
            self._rows.tell()
            self._tell_status()
            if wrong and self.record(accept.image_id).state is not ImageState.LABELLED:
                self.show_image(accept.image_id)

    def go_on(self) -> None:
        """The alarm has been seen: gate and audits are as before."""
        if self._loop is not None:
            with self._blaming(self.tr("The alarm stays")):
                self._loop.go_on()
                self._note_gate()

    def evidence(self) -> Evidence:
        """The series of the Trust panel."""
        from labeler.evidence import evidence_of

        assert self._loop is not None
        return evidence_of(self._loop.trust)

    # Rounds and models

    def start_round(self) -> None:
        """Train on all labels now."""
        self._rounds.start()

    def pause_round(self, paused: bool) -> None:
        """Hold the round that runs, or let it go on."""
        self._rounds.pause(paused)
        self._tell_status()

    def stop_round(self) -> None:
        """Give the round that runs up; the model in use stays."""
        self._rounds.stop()

    def rollback(self, version: int) -> None:
        """Use another model version; queue and pool are predicted again."""
        if self._loop is not None:
            with self._blaming(self.tr("The model in use stays")):
                self._loop.rollback(version)
                self._adopt_champion()

    # Settings and export

    def save_settings(self, settings: Settings) -> str:
        """Keep these settings of the project; the sentence that speaks against it, else nothing."""
        if self._project is not None:
            try:
                self._project.save_settings(settings)
            except LabelerError as error:
                return told(str(error))
            self._note_gate()
        return ""

    def export(self, out: Path, format: str, *, include_accepted: bool = True) -> None:
        """Export all masks, or only the core, in a format; ``exported`` or ``failed`` follows."""
        if self._project is not None:
            self._exporting.start(self._project.folder, out, format=format, include_accepted=include_accepted)
            self.long_work.emit(self.tr("Exporting"), 0, 0)

    def request_thumbnail(self, image_id: int) -> None:
        """``thumbnail_ready`` follows."""
        self._pictures.request_thumbnail(image_id)
