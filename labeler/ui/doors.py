"""The doors of the window: every dialog it opens, and what becomes of their answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QFileDialog, QMainWindow

from labeler.errors import LabelerError
from labeler.settings import Preferences, Settings, save_preferences
from labeler.ui.actions import key_text, translated
from labeler.ui.keymap import in_force
from labeler.ui.opening import default_project_folder
from labeler.ui.theme import theme
from labeler.ui.told import told
from labeler.ui.wording import Figures

if TYPE_CHECKING:
    from PySide6.QtGui import QAction

    from labeler.ui.audits import Audits
    from labeler.ui.palette import Command
    from labeler.ui.session import Session
    from labeler.ui.start import StartPage
    from labeler.ui.workspace import Workspace


class Doors(QMainWindow):
    """Opens dialogs and keeps the preferences; ``MainWindow`` adds what is always there."""

    session: Session
    preferences: Preferences
    actions_by_name: dict[str, QAction]
    figures: Figures
    start: StartPage
    workspace: Workspace | None
    _audits: Audits | None = None

    def page(self) -> Workspace:
        raise NotImplementedError

    def _report(self, title: str, sentence: str) -> None:
        raise NotImplementedError

    def _save_preferences(self, preferences: Preferences) -> None:
        self.preferences = preferences
        try:
            save_preferences(preferences)
        except LabelerError as error:
            self._report(self.tr("The preferences were not saved"), told(str(error)))

    def opening(self, intent: Callable[..., object], *arguments: Path) -> None:
        """Ask the session to open something."""
        self.start.banner.hide()  # it spoke of an earlier attempt
        intent(*arguments)

    def audit(self) -> None:
        """Ask about accepted masks, one after another."""
        from labeler.ui.audits import Audits

        if self._audits is None:
            self._audits = Audits(self.session, self)
        self._audits.begin()

    def choose_folder(self) -> None:
        """Ask for a folder of images, then show what lies in it."""
        chosen = QFileDialog.getExistingDirectory(self, self.tr("Open a folder of images"))
        if chosen:
            self.show_scan(Path(chosen))

    def choose_more(self) -> None:
        """Ask for one more folder for the project that is open, then show what lies in it."""
        chosen = QFileDialog.getExistingDirectory(self, self.tr("Add a folder of images"))
        if chosen:
            self.show_scan(Path(chosen), more=True)

    def choose_project(self) -> None:
        """Ask for the folder of a project."""
        chosen = QFileDialog.getExistingDirectory(self, self.tr("Open a project"))
        if chosen:
            self.opening(self.session.open_project, Path(chosen))

    def show_scan(self, folder: Path, *, more: bool = False) -> None:
        """What lies in a folder, before a project is made of it or (``more``: rather) the open one gets it too."""
        from labeler.ui.dialogs import ScanDialog

        target = default_project_folder(folder)
        dialog = ScanDialog(folder, target, self, can_grow=self.session.is_writable, more=more)
        dialog.add_requested.connect(self.session.add_images)
        dialog.open_requested.connect(lambda *folders: self.opening(self.session.open_images, *folders))
        self.session.surveyed.connect(dialog.show_summary)
        self.session.survey(folder)
        self._open(dialog)

    def show_export(self) -> None:
        """Ask where to export to."""
        from labeler.ui.dialogs import ExportDialog

        project, counts = self.session.project, self.figures.counts
        if project is None:
            return
        folder = project.folder
        dialog = ExportDialog(folder.with_name(f"{folder.name}-export"), counts, self)
        dialog.export_requested.connect(lambda out, form, every: self.session.export(out, form, include_accepted=every))
        self._open(dialog)

    def show_settings(self) -> None:
        """Settings of the project and preferences of the person."""
        from labeler.ui.form import SettingsDialog

        project = self.session.project
        settings = None if project is None else project.settings
        dialog = SettingsDialog(settings, self._liked(), self._save_settings, self)
        dialog.preferences_accepted.connect(self._adopt_preferences)
        self._open(dialog)

    def _save_settings(self, settings: Settings) -> str:
        refusal = self.session.save_settings(settings)
        self.page().show_classes()
        return refusal

    def _liked(self) -> Preferences:
        changed = {} if self.workspace is None else self.workspace.liked()
        return self.preferences.model_copy(update=changed)

    def _adopt_preferences(self, preferences: Preferences) -> None:
        self._save_preferences(preferences)
        theme.apply(preferences.theme, preferences.ui_scale)
        if self.workspace is not None:
            self.workspace.adopt_preferences(preferences)

    def show_keys(self) -> None:
        """The key map."""
        from labeler.ui.keys import KeyMapDialog

        dialog = KeyMapDialog(self.preferences.keys, self)
        dialog.keys_changed.connect(self.adopt_keys)
        self._open(dialog)

    def adopt_keys(self, keys: dict[str, tuple[str, ...]]) -> None:
        """Other keys for some actions."""
        raise NotImplementedError

    def show_palette(self) -> None:
        """Every command that is possible now, by a few letters of its name."""
        from labeler.ui.palette import CommandPalette

        palette = CommandPalette(self._commands(), self)
        palette.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        palette.show()  # not modal: a click beside it puts it away

    def _commands(self) -> list[Command]:
        from labeler.ui.palette import Command

        found = []
        for spec in in_force(self.preferences.keys):
            action = self.actions_by_name[spec.name]
            if action.isEnabled() and action.isVisible() and not spec.held and spec.name != "palette":
                text, key = translated(spec.text), key_text(spec).split(", ")[0]
                found.append(Command(text, action.trigger, translated(spec.group), key, action.icon()))
        for folder in map(Path, self.preferences.recent):
            run = partial(self.opening, self.session.open_project, folder)
            found.append(Command(self.tr("Continue {}").format(folder.name), run, self.tr("Project")))
        return found

    def show_about(self) -> None:
        """Name, version and licence."""
        from labeler.ui.dialogs import AboutDialog

        self._open(AboutDialog(self))

    def show_crash(self, report: str) -> None:
        """A bug of ours, with a report to copy; one dialog at a time."""
        from labeler.ui.dialogs import CrashDialog

        if not any(isinstance(child, CrashDialog) and child.isVisible() for child in self.children()):
            self._open(CrashDialog(report, self))

    def _open(self, dialog: QDialog) -> None:
        # Not exec(): a nested event loop under a running round is a second place where everything can happen.
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()
