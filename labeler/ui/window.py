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
    QLineEdit,
    QPlainTextEdit,
    QStackedWidget,
    QTextEdit,
    QVBoxLayout,
    QWidget,
)

from labeler import images
from labeler.records import ImageState
from labeler.settings import Preferences, load_preferences
from labeler.ui.actions import ACTIONS, Need, Scope, build, changes_project, keys_pressed, translated
from labeler.ui.announcer import Remedy
from labeler.ui.commands import handlers
from labeler.ui.doors import Doors
from labeler.ui.keymap import in_force, rekey
from labeler.ui.opening import is_project
from labeler.ui.places import on_screen
from labeler.ui.start import StartPage
from labeler.ui.strip import StatusStrip
from labeler.ui.theme import logo
from labeler.ui.wording import Figures, figures_of

if TYPE_CHECKING:
    from labeler.ui.session import Session
    from labeler.ui.status import SessionStatus
    from labeler.ui.workspace import Workspace

_PEEK_MS = 300  # a key held for longer is a look, not a switch
_TEXT_FIELDS = (QLineEdit, QAbstractSpinBox, QPlainTextEdit, QTextEdit)


class MainWindow(Doors):
    """Renders the session; every wish of the person becomes one of the session's intents."""

    def __init__(self, session: Session, preferences: Preferences | None = None) -> None:
        super().__init__()
        self.session = session
        self.preferences = preferences if preferences is not None else load_preferences()
        self.actions_by_name = build(self, in_force(self.preferences.keys))
        self.figures = Figures()
        self._status: SessionStatus | None = None
        self._drafted = False
        self._held = QElapsedTimer()
        self.workspace: Workspace | None = None
        self.setWindowTitle("labeler")
        self.setWindowIcon(QIcon(logo(128)))
        self.setAcceptDrops(True)
        self.start = StartPage(self.actions_by_name)
        self.start.recent_requested.connect(lambda folder: self.opening(session.open_project, folder))
        self.strip = StatusStrip()
        self.strip.stop_requested.connect(session.stop_work)
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
        self._place()

    def _place(self) -> None:
        """Where it was last time, if that is still on a screen."""
        # Frame and title bar are added by the window manager; at 1280x800 the strip would lie below the screen.
        self.resize(QSize(1280, 800).boundedTo(self.screen().availableSize() - QSize(16, 48)))
        place = on_screen(self.preferences.place, [screen.availableGeometry() for screen in QApplication.screens()])
        if place is not None:
            self.setGeometry(place)
        if self.preferences.maximized:
            self.setWindowState(Qt.WindowState.WindowMaximized)

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
        for name, handler in handlers(self).items():
            self.actions_by_name[name].triggered.connect(partial(self._act, handler))
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        app.focusChanged.connect(self._guard_typing)

    def _act(self, handler: Callable[[], object], _checked: bool = False) -> None:
        if self.workspace is not None:
            # A key in the middle of a stroke: the points of the last frame belong to the mask.
            self.workspace.canvas.finish_stroke()
        handler()

    def page(self) -> Workspace:
        """The page of an open project, made when it is first needed."""
        if self.workspace is None:
            # Built with the first project: the plots cost time that the start page need not wait for.
            from labeler.ui.workspace import Workspace

            self.workspace = Workspace(self.session, self.actions_by_name)
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
        session = self.session
        session.opened.connect(self._enter)
        session.closed.connect(self._leave)
        session.status_changed.connect(self._show_status)
        session.current_changed.connect(lambda _: self._enable())
        session.image_loaded.connect(lambda *_: self._enable())
        session.image_refused.connect(lambda _: self._enable())
        session.mask_changed.connect(lambda _: self._enable())
        session.prediction_changed.connect(lambda _: self._enable())
        session.drafted.connect(self._note_draft)
        session.long_work.connect(self._show_work)
        session.failed.connect(self._report)
        session.offered.connect(self._offer)

    def _enter(self) -> None:
        page = self.page()
        page.adopt_project()
        if not self.start.banner.isHidden():  # something about this project was said before it was open
            page.report(self.start.banner.title.text(), self.start.banner.sentence.text())
        self._pages.setCurrentWidget(page)
        self.strip.show()
        if self.session.project is not None:
            self._remember(self.session.project.folder)
        self._enable()

    def _leave(self) -> None:
        self._pages.setCurrentWidget(self.start)
        self.start.show_recent(self.preferences.recent)
        self.strip.hide()
        self.setWindowTitle("labeler")
        self._enable()

    def _show_work(self, text: str, done: int, total: int) -> None:
        self.strip.show_work(text, done, total)
        if self._pages.currentWidget() is self.start:  # the engine starts before a project is open
            self.strip.clear()
            self.strip.setVisible(total >= 0)

    def _remember(self, folder: Path) -> None:
        shown = folder.name if self.session.is_writable else self.tr("{} (for viewing only)").format(folder.name)
        self.setWindowTitle(f"{shown} – labeler")
        recent = tuple(dict.fromkeys((str(folder), *self.preferences.recent)))[:12]
        self._save_preferences(self.preferences.model_copy(update={"recent": recent}))

    def _show_status(self, status: SessionStatus) -> None:
        self._status = status
        self.figures = figures_of(status)
        self.strip.show_figures(self.figures)
        if self.workspace is not None and self.session.loop is not None:
            self.workspace.show_figures(
                self.figures,
                can_undo_threshold=self._status.can_undo_threshold,
                why_no_round=self.session.loop.why_no_round(),
            )
        self._enable()

    def _note_draft(self, image_id: int, drafted: bool) -> None:
        if image_id == self.session.current:
            self._drafted = drafted
            self._enable()

    def _report(self, title: str, sentence: str) -> None:
        # With a project open the banner over the canvas says it.
        if self._pages.currentWidget() is self.start:
            self.start.banner.report(title, sentence)

    def _offer(self, remedy: Remedy, folder: Path) -> None:
        """A way out of what was just told, as a button beside it."""
        session = self.session
        text, intent = {
            Remedy.VIEW: (self.tr("Open for viewing only"), session.view_project),
            Remedy.REBUILD: (self.tr("Rebuild it from the masks"), session.rebuild_project),
        }[remedy]
        if self._pages.currentWidget() is self.start:
            self.start.banner.offer(text, lambda: self.opening(intent, folder))

    def _possible(self) -> Need:
        session, there = self.session, Need.NOTHING
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
        if session.current < 0 or (editor is None and not session.is_refused):
            return there  # while it is on its way, nobody has seen what they would decide on
        excluded = session.record(session.current).state is ImageState.EXCLUDED
        there |= Need.CHOSEN | (Need.EXCLUDED if excluded else Need.NOT_EXCLUDED)
        if editor is None:
            return there
        there |= Need.IMAGE
        if session.prediction() is not None:
            there |= Need.PREDICTION
        if not editor.is_changed:
            there |= Need.UNDRAFTED
        return there

    def _enable(self) -> None:
        there = self._possible()
        viewing = self.session.project is not None and not self.session.is_writable
        for spec in ACTIONS:
            self.actions_by_name[spec.name].setEnabled(spec.need in there and not (viewing and changes_project(spec)))
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

    def switch_overlay(self) -> None:
        """Hide the mask or show it; a key that is held takes it back when it is let go."""
        self.page().switch_overlay()
        self._held.start()

    def _end_peek(self, event: QKeyEvent) -> None:
        keys = keys_pressed(self.actions_by_name["overlay"].property("keys"))
        if event.key() not in keys or event.isAutoRepeat():
            return
        if self._held.isValid() and self._held.elapsed() > _PEEK_MS:
            self.page().switch_overlay()
        self._held.invalidate()

    def swap_tool(self) -> None:
        """The eraser for the brush, and the other way round."""
        brush = self.page().canvas.tool.value == "eraser"
        self.actions_by_name["brush" if brush else "eraser"].trigger()

    def adopt_keys(self, keys: dict[str, tuple[str, ...]]) -> None:
        """Other keys for some actions, now and from now on."""
        self._save_preferences(self.preferences.model_copy(update={"keys": keys}))
        rekey(self.actions_by_name, in_force(keys))
        if self.workspace is not None:
            self.workspace.adopt_keys()

    # Drag and drop, and the end

    def _where(self) -> dict[str, Any]:
        place = self.normalGeometry() if self.isMaximized() else self.geometry()
        return {"place": place.getRect(), "maximized": self.isMaximized()}

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_folder(event.mimeData().urls()) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        path = dropped_folder(event.mimeData().urls())
        if path is None:
            return
        event.acceptProposedAction()
        if is_project(path):
            self.opening(self.session.open_project, path)
        else:
            self.show_scan(path)

    def closeEvent(self, event: QCloseEvent) -> None:
        liked = self._liked().model_copy(update=self._where())
        if liked != self.preferences:
            self._save_preferences(liked)
        self.session.close_project()
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
