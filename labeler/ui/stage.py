"""The middle of the window: the canvas, or in its place a comparison or the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QStackedWidget, QWidget

from labeler import images
from labeler.records import Image
from labeler.ui.canvas import Canvas
from labeler.ui.compare import ComparePage
from labeler.ui.report import ReportPage

if TYPE_CHECKING:
    from labeler.review import MaskVersion
    from labeler.ui.session import Session


class Stage(QStackedWidget):
    """Shows one of three; what reviews is made when it is first asked for."""

    turned = Signal(str)  # canvas, compare or report

    def __init__(self, session: Session, canvas: Canvas, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.canvas = canvas
        self.compare: ComparePage | None = None
        self.report: ReportPage | None = None
        self._image: Image | None = None
        self.addWidget(canvas)

    def show_canvas(self) -> None:
        """Back to work."""
        self.setCurrentWidget(self.canvas)
        self.canvas.setFocus()
        self.turned.emit("canvas")

    def show_compare(self, mode: str) -> None:
        """Two masks of the image: side_by_side or swipe; the same again goes back."""
        if self.compare is not None and self.currentWidget() is self.compare and self.compare.mode == mode:
            self.show_canvas()
            return
        page = self._compare_page()
        self.setCurrentWidget(page)
        self._fill_compare()
        page.show_mode(mode)
        self.turned.emit("compare")

    def compare_with(self, version: MaskVersion) -> None:
        """The mask in hand against an older one."""
        if self.currentWidget() is not self.compare:
            self.show_compare("swipe")
        versions = self._session.versions()
        if self.compare is not None and versions:
            self.compare.choose(versions[0], version)

    def show_report(self) -> None:
        """Labels and predictions; again goes back."""
        if self.report is not None and self.currentWidget() is self.report:
            self.show_canvas()
            return
        page = self._report_page()
        self.setCurrentWidget(page)
        self._fill_report()
        page.view.setFocus()
        self.turned.emit("report")

    def _compare_page(self) -> ComparePage:
        if self.compare is None:
            self.compare = ComparePage(self._session.mask_of)
            self.compare.closed.connect(self.show_canvas)
            self.addWidget(self.compare)
        return self.compare

    def _report_page(self) -> ReportPage:
        if self.report is None:
            self.report = ReportPage(self._session.request_tile)
            self.report.closed.connect(self.show_canvas)
            self.report.chosen.connect(self._open)
            self._session.tile_ready.connect(self.report.model.add)
            self.addWidget(self.report)
        return self.report

    def _open(self, image_id: int) -> None:
        self.show_canvas()
        self._session.show_image(image_id)

    def show_image(self, image: Image | None) -> None:
        """Another image is in front of the person; None: none."""
        self._image = image
        if self.compare is not None and self.currentWidget() is self.compare:
            self._fill_compare()

    def note_label(self) -> None:
        """A label was made."""
        if self.report is not None and self.currentWidget() is self.report:
            self._fill_report()

    def leave_project(self) -> None:
        """The project is closed."""
        self._image = None
        if self.compare is not None:
            self.compare.clear()
        if self.report is not None:
            self.report.show_judged([], ())
        self.show_canvas()

    def _fill_compare(self) -> None:
        assert self.compare is not None
        if self._image is None:
            self.compare.clear()
            return
        for pane in (self.compare.left, self.compare.right, self.compare.swipe):
            pane.overlay = "contour" if self.canvas.overlay == "off" else self.canvas.overlay
            pane.opacity = self.canvas.opacity
        self.compare.show_image(images.load_rgb8(self._image), self._session.versions())

    def _fill_report(self) -> None:
        assert self.report is not None
        project = self._session.project
        if project is not None:
            self.report.show_judged(self._session.judged(), project.settings.classes)
