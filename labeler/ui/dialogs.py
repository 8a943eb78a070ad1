"""Dialogs: scan summary, export, about, and the report of a bug."""

from __future__ import annotations

import platform
from pathlib import Path

from PySide6.QtCore import Signal, qVersion
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from labeler import __version__
from labeler.records import Counts
from labeler.ui.controls import Choice, label, plain_tip
from labeler.ui.scan import ScanSummary
from labeler.ui.theme import XL, XS, L, M, S, follow, logo, theme
from labeler.ui.told import told


class FolderRow(QWidget):
    """A field with the path of a folder, and a button that asks for one."""

    def __init__(self, folder: Path, name: str, choose: str) -> None:
        super().__init__()
        self._name = name
        self.field = QLineEdit(str(folder))
        self.field.setAccessibleName(name)
        self.button = QPushButton(self.tr("Choose…"))
        self.button.setAccessibleName(choose)
        self.button.setAutoDefault(False)  # Return means the main button
        self.button.clicked.connect(self._choose)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(S)
        row.addWidget(self.field, 1)
        row.addWidget(self.button)

    @property
    def folder(self) -> Path:
        """What the field says."""
        return Path(self.field.text()).expanduser()

    def _choose(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, self._name, self.field.text())
        if chosen:
            self.field.setText(chosen)


class ScanDialog(QDialog):
    """What lies in a folder, before anything is written; asks where the project goes."""

    open_requested = Signal(object, object)  # images folder, project folder
    add_requested = Signal(object)  # images folder, for the project that is open

    def __init__(
        self,
        folder: Path,
        project_folder: Path,
        parent: QWidget | None = None,
        *,
        can_grow: bool = False,
        more: bool = False,
    ) -> None:
        """``can_grow``: the project that is open can have the folder too; ``more``: this is what was asked for."""
        super().__init__(parent)
        self.setWindowTitle(self.tr("Add a folder of images") if more else self.tr("Open a folder of images"))
        self._folder = folder
        self.summary = ScanSummary(folder)
        self._lines = {name: label("", wraps=True) for name in ("images", "masks", "depth", "turned", "unreadable")}
        self.progress = QProgressBar(textVisible=False)
        self.progress.setAccessibleName(self.tr("Progress of the look into the folder"))
        self.progress.setRange(0, 0)
        place = FolderRow(project_folder, self.tr("Folder of the project"), self.tr("Choose the folder of the project"))
        self.target, self._place = place.field, place
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.accept_button = buttons.addButton(self.tr("Create the project"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.accept_button.setVisible(not more)
        self.add_button = buttons.addButton(self.tr("Add to this project"), QDialogButtonBox.ButtonRole.ActionRole)
        self.add_button.setVisible(can_grow or more)
        self.add_button.clicked.connect(self._add)
        primary = self.add_button if more else self.accept_button
        primary.setProperty("role", "primary")
        primary.setDefault(True)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(XL, L, XL, L)
        layout.setSpacing(S)
        title = label(folder.name or str(folder), "title", elides=True)
        layout.addWidget(title)
        layout.addWidget(label(str(folder), "caption", elides=True))
        layout.addWidget(self.progress)
        for line in self._lines.values():
            layout.addWidget(line)
        layout.addSpacing(M)
        kept = label(self.tr("The project is kept in"), "section")
        for part in (kept, place):
            layout.addWidget(part)
            part.setVisible(not more)
        layout.addWidget(
            label(self.tr("Nothing is ever written into the folder of your images."), "caption", wraps=True)
        )
        layout.addStretch(1)
        layout.addWidget(buttons)
        self.resize(theme.px(560), theme.px(320))
        self._render()
        primary.setFocus()

    def show_summary(self, summary: ScanSummary) -> None:
        """What is known by now."""
        if summary.folder == self._folder:
            self.summary = summary
            self._render()

    def _render(self) -> None:
        known = self.summary
        self.progress.setVisible(not known.done)
        for button in (self.accept_button, self.add_button):
            button.setEnabled(known.images > 0 or not known.done)
        none = self.tr("No images found here (PNG, JPEG, BMP, WebP, TIFF). They may still arrive.")
        sample = known.looked_into < known.images
        of = self.tr(" of {} looked into").format(known.looked_into) if sample else ""
        texts = {
            "images": self.tr("{:,} images").format(known.images) if known.images or not known.done else none,
            "masks": self.tr("{:,} have a mask in {}; they stay as they are").format(known.pairs, known.masks_folder)
            if known.pairs
            else "",
            "depth": self.tr("{}{} with more than 8 bits: scaled for display only").format(known.deep, of)
            if known.deep
            else "",
            "turned": self.tr("{}{} turned upright by their EXIF tag").format(known.rotated, of)
            if known.rotated
            else "",
            "unreadable": self.tr("{}{} unreadable: {}").format(
                len(known.unreadable), of, ", ".join(path.name for path, _ in known.unreadable[:3])
            )
            if known.unreadable
            else "",
        }
        for name, line in self._lines.items():
            line.setText(texts[name])
            line.setVisible(bool(texts[name]))
        reasons = "\n".join(told(reason) for _, reason in known.unreadable[:10])
        self._lines["unreadable"].setToolTip(plain_tip(reasons) if reasons else "")

    def _add(self) -> None:
        self.add_requested.emit(self._folder)
        self.reject()

    def accept(self) -> None:
        """Emit both folders."""
        self.open_requested.emit(self._folder, self._place.folder)
        super().accept()


class ExportDialog(QDialog):
    """Where to export to, in which format, and which masks."""

    export_requested = Signal(object, str, bool)  # folder, format, whether all masks or only the core

    def __init__(self, suggested: Path, counts: Counts, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Export"))
        place = FolderRow(suggested, self.tr("Folder to export to"), self.tr("Choose the folder to export to"))
        self.target, self._place = place.field, place
        self.format = Choice(self.tr("Format"))
        self.format.addItem(self.tr("PNG: a mask per image, class index per pixel"), "png")
        self.format.addItem(self.tr("COCO: one JSON with run-length masks"), "coco")
        form = QFormLayout()
        form.setHorizontalSpacing(L)
        form.setVerticalSpacing(M)
        form.addRow(label(self.tr("Folder")), place)
        form.addRow(label(self.tr("Format")), self.format)
        self.masks = Choice(self.tr("Masks"))
        every = self.tr("All: {:,} labelled by you, {:,} accepted by the model")
        self.masks.addItem(every.format(counts.labelled, counts.accepted), True)
        if counts.core:
            self.masks.addItem(self.tr("The core: {:,} that were trained on").format(counts.core), False)
        form.addRow(label(self.tr("Masks")), self.masks)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.start = buttons.addButton(self.tr("Export"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.start.setProperty("role", "primary")
        self.start.setEnabled(counts.labelled + counts.accepted > 0)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(XL, L, XL, L)
        layout.setSpacing(L)
        layout.addLayout(form)
        note = self.tr("Every mask is read back and compared pixel by pixel; a manifest tells where each came from.")
        layout.addWidget(label(note, "caption", wraps=True))
        layout.addStretch(1)
        layout.addWidget(buttons)
        self.resize(theme.px(560), self.sizeHint().height())

    def accept(self) -> None:
        """Emit what was chosen."""
        folder = self._place.folder
        self.export_requested.emit(folder, self.format.currentData(), self.masks.currentData())
        super().accept()


class AboutDialog(QDialog):
    """Name, version, licence, and the versions that a report needs."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("About labeler"))
        mark = QLabel()
        follow(mark, lambda widget: widget.setPixmap(logo(theme.px(72))))
        words = QVBoxLayout()
        words.setSpacing(XS)
        words.addWidget(label("labeler", "display"))
        words.addWidget(label(self.tr("Version {}").format(__version__)))
        words.addWidget(label(self.tr("Masks for every image, and a person only where the model is unsure."), "muted"))
        words.addWidget(label(self.tr("Apache License 2.0"), "caption"))
        words.addWidget(label(versions_text(), "caption"))
        head = QHBoxLayout()
        head.setSpacing(XL)
        head.addWidget(mark)
        head.addLayout(words, 1)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(XL, XL, XL, L)
        layout.setSpacing(L)
        layout.addLayout(head)
        layout.addWidget(buttons)


def versions_text() -> str:
    """Versions of what the window runs on."""
    return f"labeler {__version__} · Python {platform.python_version()} · Qt {qVersion()} · {platform.system()}"


class CrashDialog(QDialog):
    """A bug of ours: says that the work is safe, and gives a report to copy."""

    def __init__(self, report: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Something went wrong in labeler"))
        self.report = QPlainTextEdit(f"{versions_text()}\n\n{report}")
        self.report.setReadOnly(True)
        self.report.setAccessibleName(self.tr("Report"))
        fixed = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        fixed.setPointSizeF(theme.font("caption").pointSizeF())
        self.report.setFont(fixed)
        self.report.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        copy = QPushButton(self.tr("Copy the report"))
        copy.setAccessibleName(self.tr("Copy the report"))
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.report.toPlainText()))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.addButton(copy, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.rejected.connect(self.reject)
        sentence = self.tr("This is a mistake in the program. Your masks are saved; you can go on working.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(XL, L, XL, L)
        layout.setSpacing(M)
        layout.addWidget(label(self.windowTitle(), "title"))
        layout.addWidget(label(sentence, wraps=True))
        layout.addWidget(self.report, 1)
        layout.addWidget(
            label(self.tr("The report holds no image and leaves this computer only if you send it."), "caption")
        )
        layout.addWidget(buttons)
        self.resize(theme.px(640), theme.px(420))
