"""The page of an open project: images and gate, canvas with its tools, inspector and plots."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from labeler.records import Image, ImageState
from labeler.review import Kind
from labeler.settings import Preferences
from labeler.ui.actions import held_key
from labeler.ui.canvas import Canvas
from labeler.ui.controls import label, rule
from labeler.ui.gallery import GalleryPanel
from labeler.ui.gate import GatePanel
from labeler.ui.hints import Hints
from labeler.ui.inspector import Inspector
from labeler.ui.layers import Overlay, Tone, doubt
from labeler.ui.notices import Banner, Toast
from labeler.ui.panels import DecisionBar, OptionsBar, ToolColumn
from labeler.ui.progress import ProgressPanel
from labeler.ui.sides import Sides
from labeler.ui.stage import Stage
from labeler.ui.tabs import FittingTabs
from labeler.ui.theme import M, S, class_colour, theme
from labeler.ui.tools import Tool
from labeler.ui.training import TrainingPanel
from labeler.ui.trust import TrustPanel
from labeler.ui.wording import Figures, certified_text, cold_start, is_through, next_step, outcome_text, tr, why_here

if TYPE_CHECKING:
    from labeler.editing import MaskEditor
    from labeler.ui.session import Session

_UNDECIDED = (ImageState.POOL, ImageState.QUEUED, ImageState.ACCEPTED)
_REDRAW_MS = 300  # figures that are counted over all images are counted at most this often


class Workspace(QWidget):
    """Lays the panels out, hands the session's news to them and their wishes to the session."""

    def __init__(self, session: Session, actions: Mapping[str, QAction], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._actions = actions
        self._style: Overlay = "fill"  # what the mask goes back to from "off"
        self.canvas = Canvas()
        self.stage = Stage(session, self.canvas)
        self.gallery = GalleryPanel(session)
        self.gate = GatePanel()
        self.tools = ToolColumn(actions)
        self.options = OptionsBar(actions)
        self.decisions = DecisionBar(actions)
        self.inspector = Inspector()
        self.progress = ProgressPanel()
        self.training = TrainingPanel()
        self.trust = TrustPanel()
        self.banner = Banner()
        self.toast = Toast(self.canvas)
        self.hints = Hints(self.canvas, actions)
        self.guide = label("", "", wraps=True)
        self._threshold = 0.0
        self._calibrated = False
        self._refused = False  # the image in front cannot be shown
        self._counting = QTimer(self, singleShot=True, interval=_REDRAW_MS)
        self._counting.timeout.connect(self._count)
        self._lay_out()
        self._listen()
        self._ask()
        self.adopt_keys()

    # Layout

    def _lay_out(self) -> None:
        self.sides = Sides(self._left(), self._centre(), self._right())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.sides)

    def _left(self) -> QWidget:
        side = QFrame()
        side.setProperty("role", "side")
        layout = QVBoxLayout(side)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.gallery, 1)
        layout.addWidget(rule())
        layout.addWidget(self.gate)
        return side

    def _centre(self) -> QWidget:
        centre = QWidget()
        column = QVBoxLayout()
        column.setSpacing(0)
        self.notice = QFrame()
        notice = QVBoxLayout(self.notice)
        notice.setContentsMargins(M, S, M, S)
        notice.setSpacing(S)
        notice.addWidget(self.guide)
        notice.addWidget(self.banner)
        self.guide.setProperty("role", "strong")
        for part in (self.options, rule(), self.notice, self.stage, rule(), self.decisions):
            column.addWidget(part, 1 if part is self.stage else 0)
        layout = QHBoxLayout(centre)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.tools)
        layout.addWidget(rule(vertical=True))
        layout.addLayout(column, 1)
        return centre

    def _right(self) -> QWidget:
        self.tabs = FittingTabs(self.tr("Panels"))
        for page, title, drawn in (
            (self.inspector, self.tr("Image"), "project"),
            (self.progress, self.tr("Progress"), "progress"),
            (self.trust, self.tr("Trust"), "trust"),
            (self.training, self.tr("Training"), "training"),
        ):
            area = QScrollArea()
            area.setFrameShape(QFrame.Shape.NoFrame)
            area.setWidgetResizable(True)
            area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
            area.setWidget(page)
            self.tabs.add(area, title, drawn)
        self.tabs.currentChanged.connect(lambda _: self._plot())
        side = QFrame()
        side.setProperty("role", "side")
        layout = QVBoxLayout(side)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.tabs, 1)
        return side

    # News from the session

    def _listen(self) -> None:
        session = self._session
        session.image_loaded.connect(self._show_image)
        session.current_changed.connect(self._change_image)
        session.image_refused.connect(self._show_none)
        session.mask_changed.connect(self.canvas.refresh)
        session.prediction_changed.connect(self._take_prediction)
        session.doubt_changed.connect(self._show_doubt)
        session.images_changed.connect(self._note_changes)
        session.message.connect(self.toast.say)
        session.failed.connect(self.report)
        session.round_started.connect(self.training.begin)
        session.round_progressed.connect(self.training.advance)
        session.round_ended.connect(self._end_round)
        session.closed.connect(self._leave_project)
        session.committed.connect(lambda _: self.stage.note_label())
        self.stage.turned.connect(lambda name: self.options.setVisible(name == "canvas"))

    def _ask(self) -> None:
        session = self._session
        self.canvas.stroke_finished.connect(session.keep_patch)
        self.canvas.stroke_finished.connect(lambda _: self.hints.note_use())
        self.canvas.zoom_changed.connect(self.options.show_zoom)
        self.canvas.diameter_changed.connect(self.options.show_diameter)
        self.options.diameter_requested.connect(self._set_diameter)
        self.options.overlay_requested.connect(lambda style: self.set_overlay(style))
        self.options.opacity_requested.connect(lambda opacity: self.set_opacity(opacity))
        self.options.tone_requested.connect(self.set_tone)
        self.inspector.class_requested.connect(self.choose_class)
        self.inspector.colour_requested.connect(self._colour_class)
        self.inspector.history.taken.connect(session.take)
        self.inspector.history.compared.connect(self.stage.compare_with)
        self.tools.held.connect(lambda _name, held: setattr(self.canvas, "comparing", held))
        self.gallery.audit_requested.connect(self._actions["audit"].trigger)
        self.gallery.export_requested.connect(self._actions["export"].trigger)
        self.gate.threshold_requested.connect(session.set_threshold)
        self.gate.range_requested.connect(self.gallery.show_confidences)
        self.progress.round_requested.connect(self._show_round)
        self.gate.undo_requested.connect(session.undo_threshold)
        self.training.start_requested.connect(session.start_round)
        self.training.pause_requested.connect(session.pause_round)
        self.training.stop_requested.connect(session.stop_round)
        core = self.tr("The core: trained on")
        self.training.core_requested.connect(lambda: self.gallery.show_picked(session.core_images(), core))
        self.progress.rollback_requested.connect(session.rollback)
        for panel in (self.trust, self.progress, self.training):
            panel.image_requested.connect(session.show_image)
        self.trust.images_requested.connect(self.gallery.show_picked)
        self.trust.threshold_requested.connect(session.set_threshold)
        self.trust.go_on_requested.connect(session.go_on)
        self.trust.audit_requested.connect(self._actions["audit"].trigger)

    def adopt_project(self) -> None:
        """A project has been opened."""
        self.canvas.class_value = 1
        self.show_classes()
        self.banner.hide()
        self._update_notice()
        self.training.end(self.tr("No round runs."))
        self.gallery.setCurrentIndex(0)
        if not self._session.is_writable:
            self.choose_tool("pan")
        self._counting.start()
        self.canvas.setFocus()

    def show_classes(self) -> None:
        """Offer the classes of the project; the one in hand stays in hand, if it is still there."""
        project = self._session.project
        names = () if project is None else project.settings.classes
        theme.colour_classes(() if project is None else project.settings.colours)
        self.inspector.show_classes(names)
        self._offer_filters()
        self.choose_class(self.canvas.class_value if self.canvas.class_value <= len(names) else 1)

    def _colour_class(self, value: int, colour: str) -> None:
        project = self._session.project
        if project is not None:
            chosen = project.settings.colours
            colours = [*chosen, *(class_colour(each).name() for each in range(len(chosen) + 1, value + 1))]
            colours[value - 1] = colour
            refusal = self._session.save_settings(project.settings.model_copy(update={"colours": tuple(colours)}))
            self.show_classes()
            self.toast.say(refusal)

    def show_changed(self) -> None:
        """List what the last published model changed."""
        if self._session.changed_by_round():
            self.gallery.show_changed()
        else:
            self.toast.say(self.tr("The last model has changed no image."))

    def _show_round(self, number: int) -> None:
        if found := self._session.new_in_round(number):
            self.gallery.show_picked(found, self.tr("New in round {}").format(number))
        else:
            self.toast.say(self.tr("No label was new in round {}.").format(number))

    def _offer_filters(self) -> None:
        project = self._session.project
        if project is not None:
            versions = [version.version for version in project.versions()]
            self.gallery.offer(versions=versions, classes=project.settings.classes)

    def _leave_project(self) -> None:
        self.stage.leave_project()
        self.canvas.clear()
        self.inspector.clear()

    def _change_image(self, image_id: int) -> None:
        if image_id < 0:
            self._show_none(image_id)
            self.inspector.clear()
            return
        self._inspect(image_id)

    def _show_none(self, image_id: int) -> None:
        """There is no image, or one that cannot be shown: the one before may not be taken for it."""
        self.canvas.clear()
        self.stage.show_image(None)
        self.inspector.history.show_versions([])
        record = self._session.record(image_id) if image_id >= 0 else None
        self._refused = record is not None
        if record is not None:
            unreadable = record.state is ImageState.UNREADABLE
            self.canvas.set_empty_text(why_here(record, self._threshold) if unreadable else record.path.name)

    def _show_image(self, image_id: int, image: Image, editor: MaskEditor) -> None:
        session = self._session
        self._refused = False
        self.canvas.show_image(
            image, editor, session.prediction(), probability=session.probability(), pyramid=session.pyramid()
        )
        self.stage.show_image(image)
        self._inspect(image_id)
        self._show_history()

    def _show_history(self) -> None:
        kept = (Kind.REVISION, Kind.PREDICTION, Kind.BEFORE)
        self.inspector.history.show_versions([each for each in self._session.versions() if each.kind in kept])

    def _inspect(self, image_id: int) -> None:
        self.inspector.show_record(self._session.record(image_id), self._threshold, calibrated=self._calibrated)

    def _take_prediction(self, _image_id: int) -> None:
        self.canvas.show_predicted(self._session.prediction(), self._session.probability())
        self._show_doubt()
        self._show_history()

    def _show_doubt(self) -> None:
        """Where views disagree; until that is known, where the model is torn."""
        heat, probability = self._session.doubt(), self._session.probability()
        self.canvas.show_heat(heat if heat is not None or probability is None else partial(doubt, probability))

    def _note_changes(self, changed: set[int] | None) -> None:
        current = self._session.current
        if current >= 0 and (changed is None or current in changed):
            self._inspect(current)
        if not self._counting.isActive():
            self._counting.start()

    def _count(self) -> None:
        if (project := self._session.project) is None:
            return
        columns = self._session.columns
        undecided = columns.are(*_UNDECIDED) & ~np.isnan(columns.column("confidence"))
        confidences, wrong = (columns.column(name)[undecided].astype(float) for name in ("confidence", "wrong"))
        waits = columns.are(ImageState.QUEUED)[undecided]
        self.gate.show_confidences(confidences, wrong, waits & (confidences >= project.settings.threshold))
        self._offer_filters()
        self._plot()

    def _plot(self) -> None:
        if self._session.project is not None and self.progress.isVisible():
            self.progress.show_curves(self._session.curves())
        if self._session.project is not None and self.trust.isVisible():
            evidence = self._session.evidence()
            self.trust.show_evidence(evidence, below=self._session.project.settings.wrong_below)

    def _end_round(self, outcome: object) -> None:
        sentence = outcome_text(outcome)
        self.training.end(sentence)
        self.training.show_duels(getattr(outcome, "duels", ()))
        self.toast.say(sentence)
        self._counting.start()

    def report(self, title: str, sentence: str) -> None:
        """Show a failure over the canvas."""
        self.banner.report(title, sentence)
        self._update_notice()

    def show_figures(self, figures: Figures, *, can_undo_threshold: bool, why_no_round: str) -> None:
        """Everything that follows from the status."""
        self._threshold, self._calibrated = figures.threshold, figures.is_calibrated
        self.gate.show_threshold(figures.threshold, can_undo=can_undo_threshold)
        self.gallery.explain_empty(
            next_step(figures),
            self.tr("No image passes this filter."),
            audits=is_through(figures) and figures.audits_waiting > 0 and self._session.is_writable,
            export=is_through(figures),
        )
        if not self._refused:
            self.canvas.set_empty_text(next_step(figures))
        viewed = self.tr("For viewing only: nothing can be changed here, and nothing new is shown.")
        self.guide.setText(cold_start(figures) if self._session.is_writable else viewed)
        self.training.allow_start(tr(why_no_round) if why_no_round else "")
        accepted = figures.counts.accepted
        certified = figures.wrong_at_most / accepted if accepted and figures.wrong_at_most is not None else None
        self.gate.show_risk(certified, is_calibrated=figures.is_calibrated or figures.is_cold)
        self.trust.show_certificate(
            certified_text(figures) if figures.wrong_at_most is not None else "",
            waiting=figures.audits_waiting,
            alarmed=figures.is_alarmed,
        )
        self._update_notice()
        if self._session.current >= 0:
            self._inspect(self._session.current)

    def _update_notice(self) -> None:
        self.guide.setVisible(bool(self.guide.text()))
        self.notice.setVisible(bool(self.guide.text()) or not self.banner.isHidden())

    # The canvas's options; the canvas holds them, the options bar mirrors them

    def adopt_preferences(self, preferences: Preferences) -> None:
        """Start with what the person liked last time."""
        self.canvas.brush_diameter = preferences.brush
        self.canvas.eraser_diameter = preferences.eraser
        self.canvas.keep_view = preferences.keep_view
        self.set_overlay(preferences.overlay)
        self.set_opacity(preferences.opacity)
        self.options.show_diameter(self.canvas.diameter)
        self.hints.wanted, self.hints.used = preferences.hints, dict(preferences.hinted)
        self.hints.choose(self.canvas.tool.value)
        self.sides.adopt(preferences.sides)

    def adopt_keys(self) -> None:
        """The actions have other keys."""
        self.canvas.compare_key = held_key(self._actions["compare"])
        self.options.show_keys(self._actions)

    def liked(self) -> dict[str, Any]:
        """The values of the preferences that the canvas has changed."""
        canvas = self.canvas
        return {
            "brush": canvas.brush_diameter,
            "eraser": canvas.eraser_diameter,
            "overlay": canvas.overlay,
            "opacity": canvas.opacity,
            "hinted": dict(self.hints.used),
            "sides": self.sides.liked(),
        }

    def choose_tool(self, name: str) -> None:
        """Take a tool in hand."""
        self._actions[name].setChecked(True)
        self.canvas.tool = Tool(name)
        self.hints.choose(name)
        self.options.show_diameter(self.canvas.diameter)

    def choose_class(self, value: int) -> None:
        """Paint this class from now on; a number without a class does nothing."""
        project = self._session.project
        if project is not None and value <= len(project.settings.classes):
            self.canvas.class_value = value
            self.inspector.show_class(value)

    def pick_class(self) -> None:
        """Paint the class under the cursor from now on."""
        if value := self.canvas.value_under_cursor():
            self.choose_class(value)

    def switch_doubt(self) -> None:
        """Lay the map of doubt over the image, or take it away."""
        self.canvas.heat_shown = not self.canvas.heat_shown
        self._actions["doubt"].setChecked(self.canvas.heat_shown)
        self._session.want_doubt(self.canvas.heat_shown)

    def set_overlay(self, style: Overlay) -> None:
        """fill, contour or off."""
        if style != "off":
            self._style = style
        self.canvas.overlay = style
        self._actions["overlay"].setChecked(style != "off")
        self.options.show_view(overlay=style, opacity=self.canvas.opacity)

    def switch_overlay(self) -> None:
        """Hide the mask, or show it as it was."""
        self.set_overlay(self._style if self.canvas.overlay == "off" else "off")

    def switch_style(self) -> None:
        """Fill or contour."""
        self.set_overlay("fill" if self.canvas.overlay == "contour" else "contour")

    def set_opacity(self, opacity: float) -> None:
        """Opacity of the filled mask, 0.05..1."""
        self.canvas.opacity = min(max(opacity, 0.05), 1.0)
        self.options.show_view(overlay=self.canvas.overlay, opacity=self.canvas.opacity)

    def set_tone(self, tone: Tone) -> None:
        """How the image is shown; it stays for the next images."""
        self.canvas.tone = tone
        self.options.tone.show_tone(tone)

    def _set_diameter(self, diameter: float) -> None:
        if self.canvas.tool is Tool.ERASER:
            self.canvas.eraser_diameter = diameter
        else:
            self.canvas.brush_diameter = diameter
