"""The start page: try the sample, open a folder, continue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from labeler.ui.controls import label, plain_tip
from labeler.ui.notices import Banner
from labeler.ui.theme import XL, XS, L, M, S, follow, logo, theme, tinted

_RECENT_SHOWN = 6


class Entry(QPushButton):
    """A large button: icon, title and a sentence, read as one."""

    def __init__(self, icon: str, title: str, sentence: str, *, key: str = "") -> None:
        super().__init__()
        self.setProperty("role", "entry")
        self.setAccessibleName(title)
        self.setAccessibleDescription(sentence)
        if key:
            self.setToolTip(f"{title} ({key})")
        mark = QLabel()
        follow(mark, lambda widget: widget.setPixmap(tinted(icon, theme.colours.accent, theme.px(28))))
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(label(title, "title"))
        words.addWidget(label(sentence, "muted", wraps=True))
        self._layout = QHBoxLayout(self)
        self._layout.setContentsMargins(L, M, L, M)
        self._layout.setSpacing(L)
        self._layout.addWidget(mark, 0, Qt.AlignmentFlag.AlignVCenter)
        self._layout.addLayout(words, 1)
        for child in self.findChildren(QLabel):
            child.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def sizeHint(self) -> QSize:
        return self._layout.sizeHint()

    def minimumSizeHint(self) -> QSize:
        return self._layout.minimumSize()

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return self._layout.heightForWidth(width)


class StartPage(QScrollArea):
    """Shown while no project is open."""

    recent_requested = Signal(object)  # Path

    def __init__(self, actions: Mapping[str, QAction], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setAccessibleName(self.tr("Start"))
        column = QWidget()
        follow(column, lambda widget: widget.setFixedWidth(theme.px(580)))
        layout = QVBoxLayout(column)
        layout.setSpacing(S)
        layout.setContentsMargins(0, XL, 0, XL)
        layout.addStretch(2)
        layout.addLayout(self._head())
        self.banner = Banner()
        layout.addWidget(self.banner)
        layout.addSpacing(L)
        self.entries = self._entries(actions)
        for entry in self.entries:
            layout.addWidget(entry)
        layout.addSpacing(M)
        self.recent_title = label(self.tr("Continue"), "section")
        layout.addWidget(self.recent_title)
        self._recent = QVBoxLayout()
        self._recent.setSpacing(0)
        layout.addLayout(self._recent)
        layout.addSpacing(S)
        layout.addWidget(label(self.tr("You can also drop a folder, an image or a project here."), "caption"))
        layout.addStretch(3)
        page = QWidget()
        outer = QHBoxLayout(page)
        outer.setContentsMargins(XL, 0, XL, 0)
        outer.addStretch(1)
        outer.addWidget(column)
        outer.addStretch(1)
        self.setWidget(page)

    def _entries(self, actions: Mapping[str, QAction]) -> list[Entry]:
        sample = self.tr(
            "A model at work on generated ships: it accepts most masks, you correct the few it is unsure of."
        )
        folder = self.tr("Your images are only read. The project is kept in a folder of its own.")
        made = []
        for name, icon, title, sentence in (
            ("sample", "sample", self.tr("Try the sample"), sample),
            ("open_folder", "folder", self.tr("Open a folder of images"), folder),
            ("open_project", "project", self.tr("Open a project"), self.tr("Go on where you stopped.")),
        ):
            entry = Entry(icon, title, sentence, key=actions[name].shortcut().toString())
            entry.clicked.connect(actions[name].trigger)
            made.append(entry)
        return made

    def _head(self) -> QHBoxLayout:
        mark = QLabel()
        follow(mark, lambda widget: widget.setPixmap(logo(theme.px(56))))
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(label("labeler", "display"))
        words.addWidget(
            label(self.tr("Masks for every image, and a person only where the model is unsure."), "muted", wraps=True)
        )
        head = QHBoxLayout()
        head.setSpacing(L)
        head.addWidget(mark)
        head.addLayout(words, 1)
        return head

    def show_recent(self, projects: Sequence[str]) -> None:
        """List the projects opened lately, newest first; those that are gone are left out."""
        while (item := self._recent.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        there = [Path(project) for project in projects if (Path(project) / "project.toml").is_file()][:_RECENT_SHOWN]
        for folder in there:
            button = QPushButton()
            button.setProperty("role", "recent")
            button.setAccessibleName(self.tr("Continue {}").format(folder.name))
            button.setToolTip(plain_tip(str(folder)))
            row = QHBoxLayout(button)
            row.setContentsMargins(S, XS, S, XS)
            row.setSpacing(M)
            row.addWidget(label(folder.name, "strong"))
            row.addWidget(label(str(folder.parent), "caption", elides=True), 1)
            for child in button.findChildren(QLabel):
                child.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            follow(button, lambda widget: widget.setMinimumHeight(theme.px(34)))
            button.clicked.connect(lambda _checked=False, path=folder: self.recent_requested.emit(path))
            self._recent.addWidget(button)
        self.recent_title.setVisible(bool(there))
