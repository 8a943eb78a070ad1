"""The masks that an image has had, newest first; each can be compared with, or taken in hand again."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from labeler.review import Kind, MaskVersion
from labeler.ui.controls import icon_button, label
from labeler.ui.theme import XS, S
from labeler.ui.wording import version_name, version_story


class History(QWidget):
    """Renders the versions of one image."""

    taken = Signal(object)  # MaskVersion
    compared = Signal(object)  # MaskVersion

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = label(self.tr("History of this mask"), "section")
        self.rows: list[QWidget] = []
        self._shown: list[MaskVersion] = []
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(XS)
        self._layout.addWidget(self._title)
        self.hide()

    def show_versions(self, versions: Sequence[MaskVersion]) -> None:
        """These masks; none hides the list."""
        if list(versions) == self._shown:
            return
        self._shown = list(versions)
        for row in self.rows:
            self._layout.removeWidget(row)
            row.hide()  # it is deleted a little later, and would be painted under the new ones
            row.deleteLater()
        self.rows = [self._row(version) for version in versions]
        for row in self.rows:
            self._layout.addWidget(row)
            row.show()
        self.setVisible(bool(versions))

    def _row(self, version: MaskVersion) -> QWidget:
        row = QWidget(self)
        name, story = version_name(version), version_story(version)
        words = QVBoxLayout()
        words.setSpacing(0)
        current = version.is_current and version.kind is Kind.REVISION
        words.addWidget(label(self.tr("{} (in force)").format(name) if current else name, wraps=True))
        if story:
            words.addWidget(label(story, "caption", wraps=True))
        compare = icon_button("swipe", self.tr("Compare the mask in hand with: {}").format(name))
        compare.clicked.connect(lambda: self.compared.emit(version))
        take = icon_button("restore", self.tr("Go on from: {}").format(name))
        take.clicked.connect(lambda: self.taken.emit(version))
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(S)
        layout.addLayout(words, 1)
        layout.addWidget(compare)
        layout.addWidget(take)
        return row
