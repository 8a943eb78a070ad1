"""What the program has to say: a passing note over the canvas, and a banner that stays until it is read."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from labeler.ui.controls import icon_button, label
from labeler.ui.theme import XS, L, M, S, follow, theme, tinted

_SHOWN_MS = 5000


class Toast(QFrame):
    """One sentence over the lower edge of a widget; goes by itself, takes no clicks."""

    def __init__(self, over: QWidget) -> None:
        super().__init__(over)
        self._over = over
        self.setProperty("role", "toast")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.text = label()
        self.text.setWordWrap(True)
        self.text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._layout = QHBoxLayout(self)
        self._layout.setContentsMargins(L, S, L, S)
        self._layout.addWidget(self.text)
        self._fading = QTimer(self, singleShot=True, interval=_SHOWN_MS)
        self._fading.timeout.connect(self.hide)
        over.installEventFilter(self)
        self.hide()

    def say(self, sentence: str) -> None:
        """Show a sentence."""
        if not sentence:
            return
        self.text.setText(sentence)
        self.setAccessibleName(sentence)
        self._place()
        self.show()
        self.raise_()
        self._fading.start()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.Resize and self.isVisible():
            self._place()
        return False

    def _place(self) -> None:
        over = self._over
        widest = max(theme.px(120), over.width() - theme.px(48))
        lines = self.text.fontMetrics().horizontalAdvance(self.text.text()) + theme.px(40)
        width = min(widest, lines)
        height = self._layout.heightForWidth(width)
        self.setGeometry((over.width() - width) // 2, over.height() - height - theme.px(L), width, height)


class Banner(QFrame):
    """A failure that is not the program's fault: what happened, the way out, copy and close."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "banner")
        mark = QLabel()
        follow(mark, lambda widget: widget.setPixmap(tinted("warning", theme.colours.bad, theme.px(20))))
        self.title = label("", "strong", wraps=True)
        self.sentence = label("", wraps=True)
        self.sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        words = QVBoxLayout()
        words.setSpacing(XS)
        words.addWidget(self.title)
        words.addWidget(self.sentence)
        self.way_out = QPushButton()
        self.way_out.setAccessibleName(self.tr("A way out"))
        self.way_out.hide()
        words.addWidget(self.way_out, 0, Qt.AlignmentFlag.AlignLeft)
        self._go: Callable[[], object] | None = None
        self.way_out.clicked.connect(self._take_way_out)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(M, S, S, S)
        layout.setSpacing(M)
        layout.addWidget(mark, 0, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(words, 1)
        for name, text, slot in (
            ("copy", self.tr("Copy the message"), self._copy),
            ("close", self.tr("Close the message"), self.hide),
        ):
            made = icon_button(name, text)
            made.clicked.connect(slot)
            layout.addWidget(made, 0, Qt.AlignmentFlag.AlignTop)
        self.hide()

    def report(self, title: str, sentence: str) -> None:
        """Show a failure until it is closed or another one takes its place."""
        self.title.setText(title)
        self.sentence.setText(sentence)
        self.setAccessibleName(f"{title}. {sentence}")
        self.way_out.hide()
        self.show()

    def offer(self, text: str, go: Callable[[], object]) -> None:
        """A way out that the program can go by itself."""
        self._go = go
        self.way_out.setText(text)
        self.way_out.setAccessibleName(text)
        self.way_out.show()

    def _take_way_out(self) -> None:
        go, self._go = self._go, None
        self.hide()
        if go is not None:
            go()

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(f"{self.title.text()}\n{self.sentence.text()}")
