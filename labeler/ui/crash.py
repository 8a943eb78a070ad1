"""Bugs of ours: a report that can be sent, a dialog that says so, and the work saved all the same."""

from __future__ import annotations

import contextlib
import logging
import platform
import sys
import threading
import traceback
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import platformdirs
from PySide6.QtCore import QObject, Signal, Slot, qVersion

from labeler import __version__
from labeler.errors import LabelerError
from labeler.files import write_atomically

if TYPE_CHECKING:
    from labeler.ui.session import Session
    from labeler.ui.window import MainWindow

REPORTS = 5  # of one run; a fault in painting would otherwise write one for every frame

log = logging.getLogger("labeler")


def report_text(error: BaseException) -> str:
    """What happened and where, without the name of the person's home folder."""
    lines = [
        f"labeler {__version__}, Python {platform.python_version()}, Qt {qVersion()}, {platform.platform()}",
        datetime.now(UTC).isoformat(timespec="seconds"),
        "",
        *traceback.format_exception(error),
    ]
    return "\n".join(line.rstrip("\n") for line in lines).replace(str(Path.home()), "~")


def write_report(text: str) -> Path | None:
    """Keep a report in the user's log folder; None where that is not possible."""
    folder = Path(platformdirs.user_log_dir("labeler", appauthor=False))
    path = folder / f"crash-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode("utf-8", "backslashreplace"))
    except (OSError, LabelerError):
        return None
    return path


class CrashReporter(QObject):
    """Takes exceptions that nobody caught, on any thread, while the window lives on."""

    caught = Signal(object)  # the exception; always delivered on the main thread

    def __init__(self, session: Session, window: MainWindow) -> None:
        super().__init__()
        self._session = session
        self._window = window
        self._reports = 0
        self._busy = False
        self._hooks = sys.excepthook, threading.excepthook
        self.caught.connect(self._handle)
        session.crashed.connect(self._handle)

    def install(self) -> None:
        """Take over the hooks of the interpreter."""
        sys.excepthook = self._hook
        threading.excepthook = self._thread_hook

    def remove(self) -> None:
        """Give the hooks back."""
        sys.excepthook, threading.excepthook = self._hooks

    def _hook(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, Exception):
            self._hooks[0](kind, error, trace)
        else:
            self.caught.emit(error)

    def _thread_hook(self, args: threading.ExceptHookArgs) -> None:
        if isinstance(args.exc_value, Exception):
            self.caught.emit(args.exc_value)

    @Slot(object)
    def _handle(self, error: Exception) -> None:
        if self._busy or self._reports >= REPORTS:
            return
        text = report_text(error)
        log.error("%s", text)
        self._busy = True
        self._reports += 1
        path = write_report(text)
        # The fault may lie in saving itself; the journal holds every finished stroke anyway.
        with contextlib.suppress(Exception):
            self._session.save_now()
        try:
            self._window.show_crash(text if path is None else f"{path}\n\n{text}")
        finally:
            self._busy = False
