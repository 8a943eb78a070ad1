"""Two masks of the image in front, side by side or with a line to swipe across; nothing is edited here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRect, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QButtonGroup, QComboBox, QFrame, QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from labeler import metrics
from labeler.errors import LabelerError
from labeler.records import Mask
from labeler.review import Kind, MaskVersion
from labeler.ui.controls import Choice, icon_button, label, rule
from labeler.ui.layers import MaskLayer
from labeler.ui.marks import draw_badge
from labeler.ui.theme import XS, M, S, dress, follow, theme
from labeler.ui.view import View
from labeler.ui.viewer import Viewer
from labeler.ui.wording import version_name

_STEP = 0.02  # of the width, with an arrow key


class Pane(Viewer):
    """One mask over the image; tells where it was moved to, so that the other one follows."""

    moved = Signal(object, bool)  # View, whether it shows the whole image

    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self.keep_view = True  # another mask of the same image is no reason to move
        self._following = False

    def move_along(self, view: View, fitted: bool) -> None:
        """Show the same part as the other pane."""
        self._following = True
        if fitted:
            self.fit()
        else:
            super()._move_to(view)
        self._following = False

    def _move_to(self, view: View, *, fitted: bool = False) -> None:
        super()._move_to(view, fitted=fitted)
        if not self._following:
            self.moved.emit(self._view, fitted)

    def _draw_marks(self, painter: QPainter) -> None:
        if self.title:
            draw_badge(painter, self.title, self.rect())


class SwipePane(Pane):
    """Two masks over one image, with a line between them that can be dragged or moved with the arrow keys."""

    def __init__(self) -> None:
        super().__init__()
        self.share = 0.5  # of the width, left of the line
        self.right_title = ""
        self._right: MaskLayer | None = None
        self._dragging = False

    def show_pair(self, rgb: NDArray[np.uint8], left: Mask, right: Mask) -> None:
        """Show an image (H, W, 3) with one mask (H, W) left of the line and another right of it."""
        self._right = MaskLayer(right)
        self.show_layers(rgb, left, None)

    def _line_x(self) -> int:
        return round(self.share * self.width())

    def _draw_layers(self, painter: QPainter, shown: QRect) -> None:
        assert self._image is not None
        self._image.draw(painter, self._view, shown, tone=self._tone)
        x = self._line_x()
        halves = (QRect(0, 0, x, self.height()), QRect(x, 0, self.width() - x, self.height()))
        for mask, half in zip((self._mask, self._right), halves, strict=True):
            part = half.intersected(shown)
            if mask is not None and not part.isEmpty():
                painter.setClipRect(part)
                mask.draw(painter, self._view, part, style=self._overlay, opacity=self._opacity)
        painter.setClipRect(shown)

    def _draw_marks(self, painter: QPainter) -> None:
        x, half = self._line_x(), theme.px(7)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for pen in (QPen(QColor(0, 0, 0, 150), theme.px(4)), QPen(QColor(Qt.GlobalColor.white), theme.px(2))):
            painter.setPen(pen)
            painter.drawLine(x, 0, x, self.height())
        painter.setBrush(QColor(theme.colours.accent))
        painter.drawEllipse(QPointF(x, self.height() / 2), half, half)
        for title, area in ((self.title, QRect(0, 0, x, 60)), (self.right_title, QRect(x, 0, self.width() - x, 60))):
            if title and area.width() > theme.px(90):
                draw_badge(painter, title, area)

    def _move_line(self, share: float) -> None:
        self.share = min(max(share, 0.0), 1.0)
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        near = abs(event.position().x() - self._line_x()) <= theme.px(12)
        if event.button() is Qt.MouseButton.LeftButton and not self._space_held and near:
            self._dragging = True
        else:
            super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._dragging:
            self._move_line(event.position().x() / max(self.width(), 1))
        else:
            super().mouseMoveEvent(event)
            near = abs(event.position().x() - self._line_x()) <= theme.px(12)
            self.setCursor(Qt.CursorShape.SplitHCursor if near else Qt.CursorShape.ArrowCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._dragging = False
        super().mouseReleaseEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Left: -_STEP, Qt.Key.Key_Right: _STEP}.get(Qt.Key(event.key()))
        if step is None:
            super().keyPressEvent(event)
        else:
            self._move_line(self.share + step)

    @property
    def _pans_with_left(self) -> bool:
        return True


class ComparePage(QWidget):
    """Takes the place of the canvas; asks for the masks of the image by their names."""

    closed = Signal()

    def __init__(self, read: Callable[[MaskVersion], Mask], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._read = read
        self._rgb: NDArray[np.uint8] | None = None
        self._versions: list[MaskVersion] = []
        self.left, self.right, self.swipe = Pane(), Pane(), SwipePane()
        for pane, name in (
            (self.left, self.tr("Left mask")),
            (self.right, self.tr("Right mask")),
            (self.swipe, self.tr("Both masks, with a line between them; the arrow keys move it")),
        ):
            pane.setAccessibleName(name)
        self.left.moved.connect(self.right.move_along)
        self.right.moved.connect(self.left.move_along)
        self.choices = [self._choice(self.tr("Mask on the left")), self._choice(self.tr("Mask on the right"))]
        self.agreement = label("", "caption")
        self._modes = QButtonGroup(self)
        self.layout_buttons = {
            "side_by_side": self._mode("side-by-side", self.tr("Side by side")),
            "swipe": self._mode("swipe", self.tr("Swipe")),
        }
        self._lay_out()
        self.show_mode("side_by_side")

    def _choice(self, name: str) -> QComboBox:
        box = Choice(name, self, least=4)
        box.currentIndexChanged.connect(lambda _: self._show_masks())
        return box

    def _mode(self, icon: str, text: str) -> QToolButton:
        made = QToolButton(self)
        made.setCheckable(True)
        made.setToolTip(text)
        made.setAccessibleName(text)
        dress(made, icon)
        follow(made, lambda widget: widget.setIconSize(theme.icon_size()))
        self._modes.addButton(made)
        return made

    def _lay_out(self) -> None:
        bar = QFrame()
        bar.setProperty("role", "bar")
        row = QHBoxLayout(bar)
        row.setContentsMargins(M, XS, S, XS)
        row.setSpacing(S)
        row.addWidget(self.choices[0], 2)
        for name, made in self.layout_buttons.items():
            made.clicked.connect(lambda _=False, name=name: self.show_mode(name))
            row.addWidget(made)
        row.addWidget(self.choices[1], 2)
        row.addWidget(self.agreement)
        close = icon_button("close", self.tr("Back to the canvas (Esc)"))
        close.clicked.connect(self.closed)
        row.addWidget(close)
        panes = QHBoxLayout()
        panes.setSpacing(1)
        for pane in (self.left, self.right, self.swipe):
            panes.addWidget(pane, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(bar)
        layout.addWidget(rule())
        layout.addLayout(panes, 1)

    def show_mode(self, name: str) -> None:
        """side_by_side or swipe."""
        self.layout_buttons[name].setChecked(True)
        for pane in (self.left, self.right):
            pane.setVisible(name == "side_by_side")
        self.swipe.setVisible(name == "swipe")
        (self.swipe if name == "swipe" else self.left).setFocus()
        self._show_masks()

    @property
    def mode(self) -> str:
        """side_by_side or swipe."""
        return next(name for name, made in self.layout_buttons.items() if made.isChecked())

    def show_image(self, rgb: NDArray[np.uint8], versions: Sequence[MaskVersion]) -> None:
        """Compare masks of this image (H, W, 3); what was chosen for the last one is chosen again, if it is there."""
        before = [self._chosen(box) for box in self.choices]
        self._rgb, self._versions = rgb, list(versions)
        wanted = [
            self._like(before[0]) or self._first(Kind.IN_HAND),
            self._like(before[1])
            or self._first(Kind.BEFORE)
            or self._first(Kind.PREDICTION)
            or self._first(Kind.NOTHING),
        ]
        for box, version in zip(self.choices, wanted, strict=True):
            box.blockSignals(True)
            box.clear()
            for each in self._versions:
                box.addItem(version_name(each))
            box.setCurrentIndex(self._versions.index(version) if version in self._versions else 0)
            box.blockSignals(False)
        self._show_masks()

    def choose(self, left: MaskVersion, right: MaskVersion) -> None:
        """Compare these two."""
        for box, version in zip(self.choices, (left, right), strict=True):
            if version in self._versions:
                box.setCurrentIndex(self._versions.index(version))

    def clear(self) -> None:
        """There is no image."""
        self._rgb, self._versions = None, []
        for pane in (self.left, self.right, self.swipe):
            pane.clear()
        self.agreement.setText("")

    def refresh(self) -> None:
        """The mask in hand has changed."""
        if self.isVisible():
            self._show_masks()

    def _chosen(self, box: QComboBox) -> MaskVersion | None:
        at = box.currentIndex()
        return self._versions[at] if 0 <= at < len(self._versions) else None

    def _like(self, version: MaskVersion | None) -> MaskVersion | None:
        return None if version is None else self._first(version.kind)

    def _first(self, *kinds: Kind) -> MaskVersion | None:
        return next((version for kind in kinds for version in self._versions if version.kind is kind), None)

    def _show_masks(self) -> None:
        chosen = [self._chosen(box) for box in self.choices]
        if self._rgb is None or chosen[0] is None or chosen[1] is None:
            return
        left, right = (self._mask(version) for version in chosen if version is not None)
        names = [version_name(version) for version in chosen if version is not None]
        if self.mode == "swipe":
            self.swipe.title, self.swipe.right_title = names
            self.swipe.show_pair(self._rgb, left, right)
        else:
            for pane, mask, name in ((self.left, left, names[0]), (self.right, right, names[1])):
                pane.title = name
                pane.show_layers(self._rgb, mask, None)
        self.agreement.setText(self.tr("IoU {:.3f}").format(float(metrics.iou(left, right))))

    def _mask(self, version: MaskVersion) -> Mask:
        assert self._rgb is not None
        try:
            mask = self._read(version)
        except LabelerError:
            mask = np.zeros(self._rgb.shape[:2], np.uint8)
        return mask if mask.shape == self._rgb.shape[:2] else np.zeros(self._rgb.shape[:2], np.uint8)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.closed.emit()
        else:
            super().keyPressEvent(event)
