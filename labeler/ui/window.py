"""The main window: start page or project, menus, dialogs, drag and drop; it talks to a session only."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QElapsedTimer, QEvent, QObject, QSize, Qt, QUrl
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QIcon, QKeyEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QFileDialog,
    QLineEdit,
    QMainWindow,
    QPlainTextEdit,
    QStackedWidget,
    QTextEdit,
    QVBoxLayout,
    QWidget,
)

from labeler import images
from labeler.errors import LabelerError
from labeler.records import ImageState
from labeler.settings import Preferences, Settings, load_preferences, save_preferences
from labeler.ui.actions import ACTIONS, Need, Scope, build, translated
from labeler.ui.opening import default_project_folder, is_project
from labeler.ui.start import StartPage
from labeler.ui.strip import StatusStrip
from labeler.ui.theme import logo, theme
from labeler.ui.wording import Figures, figures_of

if TYPE_CHECKING:
    from labeler.ui.session import Session
    from labeler.ui.status import SessionStatus
    from labeler.ui.workspace import Workspace

_PEEK_MS = 300  # a key held for longer is a look, not a switch
_SPECKS_PX = 16
_TEXT_FIELDS = (QLineEdit, QAbstractSpinBox, QPlainTextEdit, QTextEdit)


class MainWindow(QMainWindow):
    """Renders the session; every wish of the person becomes one of the session's intents."""

    def __init__(self, session: Session, preferences: Preferences | None = None) -> None:
        super().__init__()
        self._session = session
        self.preferences = preferences if preferences is not None else load_preferences()
        self.actions_by_name = build(self)
        self.figures = Figures()
        self._status: SessionStatus | None = None
        self._drafted = False
        self._held = QElapsedTimer()
        self.workspace: Workspace | None = None
        self.setWindowTitle("labeler")
        self.setWindowIcon(QIcon(logo(128)))
        self.setAcceptDrops(True)
        self.start = StartPage(self.actions_by_name)
        self.start.recent_requested.connect(lambda folder: self._opening(session.open_project, folder))
        self.strip = StatusStrip()
        self.strip.stop_requested.connect(session.stop_export)
        self.strip.hide()
        self._pages = QStackedWidget()
        self._pages.addWidget(self.start)
        centre = QWidget()
        layout = QVBoxLayout(centre)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._pages, 1)
        layout.addWidget(self.strip)
        self.setCentralWidget(centre)
        self._fill_menus()
        self._connect_actions()
        self._listen()
        self.start.show_recent(self.preferences.recent)
        self._enable()
        # Frame and title bar are added by the window manager; at 1280x800 the strip would lie below the screen.
        self.resize(QSize(1280, 800).boundedTo(self.screen().availableSize() - QSize(16, 48)))

    def _fill_menus(self) -> None:
        menus: dict[str, Any] = {}
        for spec in ACTIONS:
            action = self.actions_by_name[spec.name]
            if spec.scope is not Scope.CANVAS:
                self.addAction(action)
            if not spec.listed:
                continue
            if spec.group not in menus:
                menus[spec.group] = self.menuBar().addMenu(translated(spec.group))
            menus[spec.group].addAction(action)

    def _connect_actions(self) -> None:
        for name, handler in self._handlers().items():
            self.actions_by_name[name].triggered.connect(partial(self._act, handler))
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        app.focusChanged.connect(self._guard_typing)

    def _act(self, handler: Callable[[], object], _checked: bool = False) -> None:
        if self.workspace is not None:
            # A key in the middle of a stroke: the points of the last frame belong to the mask.
            self.workspace.canvas.finish_stroke()
        handler()

    def _handlers(self) -> dict[str, Callable[[], object]]:
        session, page = self._session, self._page
        handlers: dict[str, Callable[[], object]] = {
            "sample": lambda: self._opening(session.open_sample),
            "open_folder": self.choose_folder,
            "open_project": self.choose_project,
            "close_project": session.close_project,
            "save": session.save_now,
            "export": self.show_export,
            "settings": self.show_settings,
            "quit": self.close,
            "commit": session.commit,
            "commit_unchanged": session.commit,
            "next": session.show_next,
            "previous": session.show_previous,
            "skip": session.skip,
            "exclude": session.exclude,
            "restore": lambda: session.restore(session.current),
            "swap": self._swap_tool,
            "smaller": lambda: page().canvas.step_diameter(-1),
            "larger": lambda: page().canvas.step_diameter(1),
            "undo": session.undo,
            "redo": session.redo,
            "fill_holes": session.fill_holes,
            "remove_specks": lambda: session.remove_specks(_SPECKS_PX),
            "invert": session.invert,
            "revert": session.revert,
            "overlay": self._switch_overlay,
            "style": lambda: page().switch_style(),
            "fainter": lambda: page().set_opacity(page().canvas.opacity - 0.05),
            "stronger": lambda: page().set_opacity(page().canvas.opacity + 0.05),
            "fit": lambda: page().canvas.fit(),
            "actual": lambda: page().canvas.actual_size(),
            "zoom_in": lambda: page().canvas.zoom_in(),
            "zoom_out": lambda: page().canvas.zoom_out(),
            "train": session.start_round,
            "undo_threshold": session.undo_threshold,
            "key_map": self.show_keys,
            "about": self.show_about,
        }
        for tool in ("brush", "eraser", "polygon_add", "polygon_subtract", "pan"):
            handlers[tool] = partial(self._choose_tool, tool)
        for value in range(1, 10):
            handlers[f"class_{value}"] = partial(self._choose_class, value)
        return handlers

    def _choose_tool(self, name: str) -> None:
        self._page().choose_tool(name)

    def _choose_class(self, value: int) -> None:
        self._page().choose_class(value)

    def _page(self) -> Workspace:
        if self.workspace is None:
            # Built with the first project: the plots cost time that the start page need not wait for.
            from labeler.ui.workspace import Workspace

            self.workspace = Workspace(self._session, self.actions_by_name)
            self._pages.addWidget(self.workspace)
            self.workspace.adopt_preferences(self.preferences)
            self.workspace.canvas.installEventFilter(self)
            self.actions_by_name["brush"].setChecked(True)
            for widget in (
                self.workspace.canvas,
                self.workspace.gallery.queue.view,
                self.workspace.gallery.gallery.view,
            ):
                widget.addAction(self.actions_by_name["commit_unchanged"])
        return self.workspace

    # News from the session

    def _listen(self) -> None:
        session = self._session
        session.opened.connect(self._enter)
        session.closed.connect(self._leave)
        session.status_changed.connect(self._show_status)
        session.current_changed.connect(lambda _: self._enable())
        session.image_loaded.connect(lambda *_: self._enable())
        session.mask_changed.connect(lambda _: self._enable())
        session.prediction_changed.connect(lambda _: self._enable())
        session.drafted.connect(self._note_draft)
        session.long_work.connect(self.strip.show_work)
        session.failed.connect(self._report)

    def _enter(self) -> None:
        page = self._page()
        page.adopt_project()
        if not self.start.banner.isHidden():  # something about this project was said before it was open
            page.report(self.start.banner.title.text(), self.start.banner.sentence.text())
        self._pages.setCurrentWidget(page)
        self.strip.show()
        if self._session.project is not None:
            self._remember(self._session.project.folder)
        self._enable()

    def _leave(self) -> None:
        self._pages.setCurrentWidget(self.start)
        self.start.show_recent(self.preferences.recent)
        self.strip.hide()
        self.setWindowTitle("labeler")
        self._enable()

    def _remember(self, folder: Path) -> None:
        self.setWindowTitle(f"{folder.name} – labeler")
        recent = tuple(dict.fromkeys((str(folder), *self.preferences.recent)))[:12]
        self._save_preferences(self.preferences.model_copy(update={"recent": recent}))

    def _save_preferences(self, preferences: Preferences) -> None:
        self.preferences = preferences
        try:
            save_preferences(preferences)
        except LabelerError as error:
            self._report(self.tr("The preferences were not saved"), str(error))

    def _show_status(self, status: SessionStatus) -> None:
        self._status = status
        self.figures = figures_of(status)
        self.strip.show_figures(self.figures)
        if self.workspace is not None and self._session.loop is not None:
            self.workspace.show_figures(
                self.figures,
                can_undo_threshold=self._status.can_undo_threshold,
                why_no_round=self._session.loop.why_no_round(),
            )
        self._enable()

    def _note_draft(self, image_id: int, drafted: bool) -> None:
        if image_id == self._session.current:
            self._drafted = drafted
            self._enable()

    def _report(self, title: str, sentence: str) -> None:
        # With a project open the banner over the canvas says it.
        if self._pages.currentWidget() is self.start:
            self.start.banner.report(title, sentence)

    def _possible(self) -> Need:
        session, there = self._session, Need.NOTHING
        if session.project is None:
            return there
        there |= Need.PROJECT
        status = self._status
        for holds, need in (
            (status is not None and status.can_undo, Need.CAN_UNDO),
            (status is not None and status.can_redo, Need.CAN_REDO),
            (status is not None and status.can_undo_threshold, Need.THRESHOLD_CHANGED),
        ):
            there |= need if holds else Need.NOTHING
        editor = session.editor
        if session.current < 0 or editor is None:
            return there
        there |= Need.IMAGE
        excluded = session.record(session.current).state is ImageState.EXCLUDED
        there |= Need.EXCLUDED if excluded else Need.NOT_EXCLUDED
        if session.prediction() is not None:
            there |= Need.PREDICTION
        if not editor.is_changed:
            there |= Need.UNDRAFTED
        return there

    def _enable(self) -> None:
        there = self._possible()
        for spec in ACTIONS:
            self.actions_by_name[spec.name].setEnabled(spec.need in there)
        restore = Need.EXCLUDED in there
        self.actions_by_name["restore"].setVisible(restore)
        self.actions_by_name["exclude"].setVisible(not restore)

    # Keys

    def _guard_typing(self, _old: QWidget | None, new: QWidget | None) -> None:
        if isinstance(new, _TEXT_FIELDS) or (isinstance(new, QComboBox) and new.isEditable()):
            new.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.ShortcutOverride and isinstance(watched, _TEXT_FIELDS):
            assert isinstance(event, QKeyEvent)
            command = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier
            if not event.modifiers() & command and event.key() < Qt.Key.Key_F1:
                event.accept()  # the key is text, not a shortcut
        elif event.type() is QEvent.Type.KeyRelease and isinstance(event, QKeyEvent):
            self._end_peek(event)
        return False

    def _switch_overlay(self) -> None:
        self._page().switch_overlay()
        self._held.start()

    def _end_peek(self, event: QKeyEvent) -> None:
        if event.key() != Qt.Key.Key_V or event.isAutoRepeat():
            return
        if self._held.isValid() and self._held.elapsed() > _PEEK_MS:
            self._page().switch_overlay()
        self._held.invalidate()

    def _swap_tool(self) -> None:
        brush = self._page().canvas.tool.value == "eraser"
        self.actions_by_name["brush" if brush else "eraser"].trigger()

    # Dialogs

    def _opening(self, intent: Callable[..., object], *arguments: Path) -> None:
        self.start.banner.hide()  # it spoke of an earlier attempt
        intent(*arguments)

    def choose_folder(self) -> None:
        """Ask for a folder of images, then show what lies in it."""
        chosen = QFileDialog.getExistingDirectory(self, self.tr("Open a folder of images"))
        if chosen:
            self.show_scan(Path(chosen))

    def choose_project(self) -> None:
        """Ask for the folder of a project."""
        chosen = QFileDialog.getExistingDirectory(self, self.tr("Open a project"))
        if chosen:
            self._opening(self._session.open_project, Path(chosen))

    def show_scan(self, folder: Path) -> None:
        """What lies in a folder, before a project is made of it."""
        from labeler.ui.dialogs import ScanDialog

        dialog = ScanDialog(folder, default_project_folder(folder), self)
        dialog.open_requested.connect(lambda *folders: self._opening(self._session.open_images, *folders))
        self._session.surveyed.connect(dialog.show_summary)
        self._session.survey(folder)
        self._open(dialog)

    def show_export(self) -> None:
        """Ask where to export to."""
        from labeler.ui.dialogs import ExportDialog

        project, counts = self._session.project, self.figures.counts
        if project is None:
            return
        folder = project.folder
        dialog = ExportDialog(folder.with_name(f"{folder.name}-export"), counts, self)
        dialog.export_requested.connect(
            lambda out, form, every: self._session.export(out, form, include_accepted=every)
        )
        self._open(dialog)

    def show_settings(self) -> None:
        """Settings of the project and preferences of the person."""
        from labeler.ui.form import SettingsDialog

        project = self._session.project
        # A model has an output for every class there was when it was trained.
        locked = frozenset() if self.figures.champion is None else frozenset({"classes"})
        dialog = SettingsDialog(None if project is None else project.settings, self._liked(), self, locked=locked)
        dialog.settings_accepted.connect(self._save_settings)
        dialog.preferences_accepted.connect(self._adopt_preferences)
        self._open(dialog)

    def _save_settings(self, settings: Settings) -> None:
        self._session.save_settings(settings)
        self._page().show_classes()

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
        from labeler.ui.dialogs import KeyMapDialog

        self._open(KeyMapDialog(self))

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

    # Drag and drop, and the end

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_folder(event.mimeData().urls()) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        path = dropped_folder(event.mimeData().urls())
        if path is None:
            return
        event.acceptProposedAction()
        if is_project(path):
            self._opening(self._session.open_project, path)
        else:
            self.show_scan(path)

    def closeEvent(self, event: QCloseEvent) -> None:
        if self._liked() != self.preferences:
            self._save_preferences(self._liked())
        self._session.close_project()
        event.accept()


def dropped_folder(urls: list[QUrl]) -> Path | None:
    """The project or folder of images that is meant by what was dropped; of an image, its folder."""
    for url in urls:
        path = Path(url.toLocalFile()) if url.isLocalFile() else None
        if path is None:
            continue
        if path.is_dir():
            return path
        if path.suffix.lower() in images.SUFFIXES or path.name == "project.toml":
            return path.parent
    return None
