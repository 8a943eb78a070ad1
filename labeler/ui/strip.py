"""The status strip: figures that are always true, and the long work that runs."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from labeler.records import ImageState
from labeler.ui.controls import FlowLayout, icon_button, label
from labeler.ui.marks import draw_state
from labeler.ui.theme import XS, L, M, S, follow, theme
from labeler.ui.wording import Figures, strip_items, tr

_DOTS = {
    "accepted": ImageState.ACCEPTED,
    "queued": ImageState.QUEUED,
    "core": ImageState.LABELLED,
    "unreadable": ImageState.UNREADABLE,
}


_MEANINGS = {
    "streamed": "Images seen so far",
    "accepted": "Accepted by the model: confidence at or above the threshold",
    "queued": "Waiting for you",
    "core": "Your labels that the model is trained on",
    "holdout": "Your labels that only judge the model",
    "certificate": "With 95 % probability, from blind audits; an audit that waits counts as wrong",
    "alarm": "The scores of new images are not what they were: a stricter gate and more audits until you go on",
    "unreadable": "Files that cannot be used; the gallery tells why",
    "model": "The model in use and its mean IoU on the holdout",
    "round": "Training in the background",
    "stream": "Where images come from",
    "saved": "Everything is saved as you go",
}


class Dot(QWidget):
    """The mark of a state, in its shape and colour."""

    def __init__(self, state: ImageState) -> None:
        super().__init__()
        self._state = state
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        follow(self, lambda widget: widget.setFixedSize(QSize(theme.px(9), theme.px(9))))

    def paintEvent(self, event: QPaintEvent) -> None:
        draw_state(QPainter(self), QRectF(self.rect()), self._state)


class Item(QWidget):
    """A figure of the strip, with the dot of its state."""

    def __init__(self, name: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.text = label("", "caption")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        if name in _DOTS:
            row.addWidget(Dot(_DOTS[name]))
        row.addWidget(self.text)
        self.setToolTip(tr(_MEANINGS[name]))
        self.hide()

    def show_text(self, text: str) -> None:
        """Show a text; an empty one hides the item."""
        if text and text != self.text.text():
            self.text.setText(text)
        self.setVisible(bool(text))


class StatusStrip(QFrame):
    """The bottom line; breaks into two rows rather than cutting a figure off."""

    stop_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "strip")
        self.setAccessibleName(self.tr("Status"))
        self._cells = QWidget(self)
        self._flow = FlowLayout(self._cells, spacing=L, rows_apart=2)
        self._flow.setContentsMargins(M, XS, M, XS)
        self._items = {name: Item(name, self._cells) for name in _MEANINGS}
        for item in self._items.values():
            self._flow.addWidget(item)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 1, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._work_row())
        layout.addWidget(self._cells)

    def _work_row(self) -> QWidget:
        self.work = QWidget(self)
        self._doing = label("", "caption")
        self._bar = QProgressBar(textVisible=False)
        self._bar.setAccessibleName(self.tr("Progress of the work that runs"))
        stop = icon_button("close", self.tr("Stop this work"))
        stop.clicked.connect(self.stop_requested)
        row = QHBoxLayout(self.work)
        row.setContentsMargins(M, XS, S, 0)
        row.setSpacing(M)
        row.addWidget(self._doing)
        row.addWidget(self._bar, 1)
        row.addWidget(stop)
        self.work.hide()
        return self.work

    def show_figures(self, figures: Figures) -> None:
        """Render the figures."""
        shown = dict(strip_items(figures))
        self._cells.show()
        for name, item in self._items.items():
            item.show_text(shown.get(name, ""))

    def clear(self) -> None:
        """No project is open: there are no figures."""
        for item in self._items.values():
            item.hide()
        self._cells.hide()

    def texts(self) -> dict[str, str]:
        """What the strip says, by item."""
        return {name: item.text.text() for name, item in self._items.items() if not item.isHidden()}

    def show_work(self, text: str, done: int, total: int) -> None:
        """Long work: ``total`` 0 = unknown, -1 = ended."""
        self.work.setVisible(total >= 0)
        self._doing.setText(text if total <= 0 else f"{text}  {done:,}/{total:,}")
        self._bar.setRange(0, max(total, 0))
        self._bar.setValue(done)
