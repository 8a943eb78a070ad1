"""The program with a window: starts it, lets it end well however it is asked to, and reports what goes wrong."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QSocketNotifier, QTimer, Signal, Slot
from PySide6.QtWidgets import QApplication

from labeler.openmp import wait_briefly
from labeler.settings import Preferences, load_preferences
from labeler.ui.crash import CrashReporter
from labeler.ui.language import speak
from labeler.ui.session import Session
from labeler.ui.theme import theme
from labeler.ui.window import MainWindow
from labeler.ui.worker import running

SWITCH_S = 0.0005  # a computing thread gives the interpreter back this fast; 5 ms by default, which is a missed frame
STUCK = 70  # exit code where a thread did not end; EX_SOFTWARE

log = logging.getLogger("labeler")


class QuitSignals(QObject):
    """SIGINT, SIGTERM and SIGHUP as a Qt signal: Python's handlers alone would wait for the next Python code."""

    arrived = Signal(int)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        names = ("SIGINT", "SIGTERM", "SIGHUP")
        self._before = {
            number: signal.signal(number, _ignore) for name in names if (number := getattr(signal, name, None))
        }
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._notifier = QSocketNotifier(self._reader.fileno(), QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._read)

    @Slot()
    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in self._reader.recv(64):
                self.arrived.emit(number)

    def close(self) -> None:
        """Give the signals back to whoever had them."""
        self._notifier.setEnabled(False)
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._reader.close()
        self._writer.close()


def _ignore(_number: int, _frame: object) -> None:
    """The wake-up descriptor does the work."""


def run(*, project: Path | None = None, sample: bool = False, images: Path | None = None) -> int:
    """Show the window until it is closed; the exit code. At most one of the three is opened at once."""
    prepare_process()
    app = application()
    preferences = load_preferences()
    speak(app, preferences.language)
    theme.apply(preferences.theme, preferences.ui_scale)
    return _live(app, preferences, _first_wish(project, sample, images))


def prepare_process() -> None:
    """What must be set before torch is imported or a thread is started."""
    wait_briefly()
    sys.setswitchinterval(SWITCH_S)


def application() -> QApplication:
    """The one QApplication of the process."""
    there = QApplication.instance()
    if isinstance(there, QApplication):
        return there
    app = QApplication(sys.argv[:1])
    app.setApplicationName("labeler")
    app.setDesktopFileName("labeler")
    return app


def _first_wish(project: Path | None, sample: bool, images: Path | None) -> Callable[[Session], None]:
    if project is not None:
        return lambda session: session.open_project(project)
    if images is not None:
        return lambda session: session.open_images(images)
    return Session.open_sample if sample else Session.warm_up


def _live(app: QApplication, preferences: Preferences, wish: Callable[[Session], None]) -> int:
    session = Session()
    window = MainWindow(session, preferences)
    reporter = CrashReporter(session, window)
    reporter.install()
    signals = QuitSignals()
    signals.arrived.connect(app.quit)  # closes the windows first, dialogs too
    app.commitDataRequest.connect(session.save_now)  # the desktop is about to log out
    window.show()
    # Only once the window has been painted: importing torch holds the interpreter for a fifth of a second.
    QTimer.singleShot(0, session, lambda: wish(session))
    try:
        code = app.exec()
    finally:
        ended = session.shut_down()
        signals.close()
        reporter.remove()
        window.deleteLater()
    if not ended:
        _leave_stuck()
    return code


def _leave_stuck() -> None:
    """A thread that computes at exit would abort the process: everything is saved, so leave without more ado."""
    log.error("a thread did not end in time: %s; the work is saved", ", ".join(map(repr, running())))
    logging.shutdown()
    os._exit(STUCK)
