"""Pictures of the real window at work on the sample: those of the README, and any look at any theme, scale or language.

python tests/pictures.py assets                          # the README's pictures
python tests/pictures.py OUT --looks --theme dark --scale 1.5 --language de   # every page, to be looked at
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

if "DISPLAY" not in os.environ:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QApplication, QDialog, QWidget

from labeler.records import ImageState
from labeler.settings import Preferences
from labeler.ui.app import application, prepare_process
from labeler.ui.language import speak
from labeler.ui.session import Session
from labeler.ui.theme import theme
from labeler.ui.window import MainWindow
from labeler.ui.workspace import Workspace

PATIENCE_S = 120.0


class Studio:
    """One window on one project in a home of its own, and the camera."""

    def __init__(self, out: Path, preferences: Preferences, size: QSize) -> None:
        self.out = out
        out.mkdir(parents=True, exist_ok=True)
        theme.apply(preferences.theme, preferences.ui_scale)
        self.session = Session()
        self.window = MainWindow(self.session, preferences)
        self.window.resize(size)
        self.window.show()

    @property
    def page(self) -> Workspace:
        """The page of the open project."""
        assert self.window.workspace is not None
        return self.window.workspace

    def until(self, holds: Callable[[], object]) -> None:
        """Let the window live until something holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, "the window never got there"
            QApplication.processEvents()
            time.sleep(0.005)

    def settle(self, seconds: float = 0.4) -> None:
        """Let thumbnails and timers come to rest."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)

    def shoot(self, name: str, widget: QWidget | None = None) -> None:
        """Save a picture of the window or of a dialog."""
        self.settle()
        picture = (widget or self.window).grab()
        picture.save(str(self.out / f"{name}.png"))

    def dialog(self, name: str, open_it: Callable[[], object]) -> None:
        """Open a dialog, take its picture, close it."""
        open_it()
        self.settle()
        shown = [w for w in QApplication.topLevelWidgets() if isinstance(w, QDialog) and w.isVisible()]
        self.shoot(name, shown[-1])
        shown[-1].reject()
        self.settle(0.1)

    def close(self) -> None:
        """End everything."""
        self.window.close()
        assert self.session.shut_down()


def open_project(studio: Studio, folder: Path | None) -> None:
    """The sample, predicted; or a project that is there."""
    session = studio.session
    if folder is None:
        session.open_sample()
    else:
        session.open_project(folder)
    studio.until(lambda: session.project is not None and session.editor is not None)
    studio.until(lambda: session.project.champion() is None or session.project.counts().pool == 0)
    studio.settle(1.5)


def look(studio: Studio, folder: Path | None) -> None:
    """Every page and dialog, once."""
    window = studio.window
    studio.shoot("start")
    open_project(studio, folder)
    studio.shoot("queue")
    page = studio.page
    page.gallery.setCurrentIndex(1)
    studio.shoot("gallery")
    for number in range(page.tabs.count()):
        page.tabs.setCurrentIndex(number)
        studio.shoot(f"tab{number}")
    page.tabs.setCurrentIndex(0)
    page.gallery.setCurrentIndex(0)
    for name in ("export", "settings", "keys", "about"):
        studio.dialog(name, getattr(window, f"show_{name}"))
    studio.dialog("crash", lambda: window.show_crash("Traceback (most recent call last):\n  ..."))
    assert studio.session.project is not None
    studio.dialog("scan", lambda: window.show_scan(Path(tempfile.gettempdir())))
    page.report("Not saved: the drawing is kept in memory", "/data/masks: no space left; free some and try again.")
    studio.shoot("banner")
    page.banner.hide()
    for name in ("side_by_side", "swipe", "report"):
        window.actions_by_name[name].trigger()
        studio.shoot(name)
    window.actions_by_name["report"].trigger()
    window.show_palette()
    studio.shoot("palette", next(w for w in QApplication.topLevelWidgets() if type(w).__name__ == "CommandPalette"))
    page.gallery.setCurrentIndex(1)
    page.gallery.filters.more.setChecked(True)
    studio.shoot("filters")
    columns = studio.session.columns
    accepted = columns.ids[columns.are(ImageState.ACCEPTED)]
    if len(accepted):
        studio.session.show_image(int(accepted[0]))
        studio.shoot("accepted")


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--looks", action="store_true")
    parser.add_argument("--theme", default="light")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--language", default="en")
    parser.add_argument("--size", default="1280x800")
    parser.add_argument("--project", type=Path)
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))
    with tempfile.TemporaryDirectory() as home:
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
            os.environ[name] = home
        prepare_process()
        speak(application(), given.language)
        studio = Studio(given.out, Preferences(theme=given.theme, ui_scale=given.scale), QSize(width, height))
        try:
            look(studio, given.project)
        finally:
            studio.close()


if __name__ == "__main__":
    main()
