"""The audit: accepted masks one after another, blind, with two keys; a wrong one is mended on the canvas."""

from __future__ import annotations

import time
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRect, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QKeySequence, QPainter, QPaintEvent, QShortcut
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from labeler import images
from labeler.records import Image, Mask
from labeler.ui.controls import label
from labeler.ui.haste import Haste
from labeler.ui.theme import L, M, S, class_colour, follow, theme

SIDE = 1024  # longest side of the picture shown


@dataclass(frozen=True, slots=True)
class AuditCase:
    """One mask to judge: nothing of its confidence, model or age."""

    accept_id: int
    image_id: int
    image: Image
    mask: Mask
    waiting: int  # audits that wait, this one included


class MaskPicture(QWidget):
    """An image with the outline of its mask; without the outline while a key or button is held."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._plain = self._outlined = QImage()
        self.is_bare = False
        self.setAccessibleName(self.tr("Image with the outline of its mask"))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        follow(self, lambda widget: widget.setMinimumSize(theme.px(420), theme.px(380)))

    def show_case(self, case: AuditCase) -> None:
        """Draw another case."""
        shown = images.thumbnail(case.image, SIDE)
        self._plain, self._outlined = _picture(shown), _picture(outlined(shown, case.mask))
        self.update()

    def show_bare(self, bare: bool) -> None:
        """With or without the outline."""
        self.is_bare = bare
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.colours.sunken))
        picture = self._plain if self.is_bare else self._outlined
        if picture.isNull():
            return
        size = picture.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        left, top = (self.width() - size.width()) // 2, (self.height() - size.height()) // 2
        place = QRect(left, top, size.width(), size.height())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, size.width() < picture.width())
        painter.drawImage(place, picture)


def outlined(picture: NDArray[np.uint8], mask: Mask) -> NDArray[np.uint8]:
    """``picture`` (h, w, 3) with the outline of ``mask`` (H, W), whatever its size, in the colours of the classes."""
    height, width = picture.shape[:2]
    scaled = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
    drawn = picture.copy()
    thick = max(2, round(max(height, width) / 300))
    for value in np.unique(scaled[scaled > 0]):
        found, _ = cv2.findContours((scaled == value).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        # A dark line below: seen on any ground, whatever the eye makes of colours.
        cv2.drawContours(drawn, found, -1, (0, 0, 0), thick + 2)
        cv2.drawContours(drawn, found, -1, _rgb(int(value)), thick)
    return drawn


def _rgb(value: int) -> tuple[int, int, int]:
    colour = class_colour(value)
    return colour.red(), colour.green(), colour.blue()


def _picture(pixels: NDArray[np.uint8]) -> QImage:
    height, width = pixels.shape[:2]
    return QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).copy()


class AuditDialog(QDialog):
    """Shows a case and emits the answer; the session writes it down and gives the next case."""

    answered = Signal(int, bool, float)  # accept id, whether it is wrong, seconds

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Audit"))
        self.case: AuditCase | None = None
        self._since = 0.0
        self._haste = Haste()
        self.picture = MaskPicture()
        self.question = label(self.tr("Is this mask right?"), "title", wraps=True)
        self.count = label("", "caption", wraps=True)
        self.notice = label("", "strong", wraps=True)
        self.right = QPushButton(self.tr("Right (J)"))
        self.wrong = QPushButton(self.tr("Wrong, mend it (F)"))
        for button, key, is_wrong in ((self.right, "J", False), (self.wrong, "F", True)):
            button.setAutoDefault(False)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.clicked.connect(lambda _=False, wrong=is_wrong: self._answer(wrong))
            QShortcut(QKeySequence(key), self, button.click)
        hint = label(self.tr("Hold V to see the image alone. Esc ends; nothing is lost."), "caption", wraps=True)
        buttons = QHBoxLayout()
        buttons.setSpacing(S)
        buttons.addWidget(hint, 1)
        buttons.addWidget(self.wrong)
        buttons.addWidget(self.right)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(L, L, L, L)
        layout.setSpacing(M)
        for widget in (self.question, self.count, self.picture, self.notice):
            layout.addWidget(widget, 1 if widget is self.picture else 0)
        layout.addLayout(buttons)
        self.notice.hide()
        self.picture.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.picture.setFocus()  # on a button, a space out of habit would be an answer

    def show_case(self, case: AuditCase) -> None:
        """Ask about another mask; the clock runs from here."""
        self.case = case
        self.picture.show_case(case)
        empty = not case.mask.any()
        self.question.setText(
            self.tr("The model says there is nothing here. Is that right?") if empty else self.tr("Is this mask right?")
        )
        waiting = self.tr("1 audit waits") if case.waiting == 1 else self.tr("{:,} audits wait").format(case.waiting)
        self.count.setText(self.tr("{}. Drawn by a coin; the order tells nothing.").format(waiting))
        self._since = time.monotonic()

    def _answer(self, wrong: bool) -> None:
        if self.case is None:
            return
        seconds = time.monotonic() - self._since
        if self._haste.asks(seconds, is_accept=not wrong):
            self._since = time.monotonic()
            self.notice.setText(self.tr("That was faster than a glance, several times. Please look at this one again."))
            self.notice.show()
            return
        self.notice.hide()
        case, self.case = self.case, None
        self.answered.emit(case.accept_id, wrong, seconds)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_V:
            self.picture.show_bare(True)
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_V and not event.isAutoRepeat():
            self.picture.show_bare(False)
        else:
            super().keyReleaseEvent(event)
