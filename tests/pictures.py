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

import cv2
import numpy as np
from PIL import Image as PILImage
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
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
BYTES = 2_000_000  # of the film


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

    def shoot(self, name: str, widget: QWidget | None = None, *, form: str = "png") -> None:
        """Save a picture of the window or of a dialog."""
        self.settle()
        picture = (widget or self.window).grab()
        picture.save(str(self.out / f"{name}.{form}"), quality=-1 if form == "png" else 82)

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
        self.until(self.session.shut_down)  # a prediction of a large image is a step that is not cut short


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


class Film:
    """Frames of the window, and how long each is seen."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self.frames: list[PILImage.Image] = []
        self.times: list[int] = []

    def take(self, milliseconds: int) -> None:
        """One frame; the same picture again only lasts longer."""
        QApplication.processEvents()
        grabbed = self._studio.window.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
        height, width = grabbed.height(), grabbed.width()
        pixels = np.frombuffer(grabbed.constBits(), np.uint8).reshape(height, grabbed.bytesPerLine())
        # As it is: text that is made smaller is no longer sharp.
        self.frames.append(PILImage.fromarray(pixels[:, : 3 * width].reshape(height, width, 3).copy()))
        self.times.append(milliseconds)

    def save(self, path: Path) -> None:
        """An animated WebP, small enough for a page that loads at once."""
        first, *rest = self.frames
        first.save(path, append_images=rest, duration=self.times, loop=0, quality=48, method=6, minimize_size=True)
        assert path.stat().st_size < BYTES, path.stat().st_size


def specks(studio: Studio) -> list[tuple[float, float, float]]:
    """Centres (x, y) and diameters of what is beside the largest part of the mask in hand."""
    assert studio.session.editor is not None
    count, _, boxes, centres = cv2.connectedComponentsWithStats(studio.session.editor.mask)
    parts = sorted(range(1, count), key=lambda part: -boxes[part][cv2.CC_STAT_AREA])
    return [(*centres[part], float(max(boxes[part][2:4]))) for part in parts[1:]]


def erase(studio: Studio, film: Film, at: tuple[float, float, float]) -> None:
    """Rub a speck out with the mouse, as a person does."""
    canvas = studio.page.canvas
    studio.window.actions_by_name["eraser"].trigger()
    canvas.eraser_diameter = at[2] * 0.7
    for step in range(9):
        x = at[0] + at[2] * 0.42 * (-1) ** step * (step % 3) / 2
        y = at[1] - at[2] * 0.5 + at[2] * step / 8
        place = canvas.view.to_widget((x, y)).toPoint()
        if step == 0:
            QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=place)
        QTest.mouseMove(canvas, place)
        studio.settle(0.03)
        film.take(110)
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=place)
    studio.settle(0.05)
    film.take(600)


def work(studio: Studio, film: Film, images: int) -> None:
    """Correct what waits: specks are rubbed out, the rest is accepted."""
    session = studio.session
    for _ in range(images):
        studio.until(lambda: session.editor is not None)
        studio.settle(0.3)
        film.take(900)
        for speck in specks(studio)[:2]:
            erase(studio, film, speck)
        session.commit()
        studio.settle(0.2)


def readme(studio: Studio) -> None:
    """The pictures of the README: the window at work, a comparison, the report, and a short film."""
    session, film = studio.session, Film(studio)
    open_project(studio, None)
    queue = [int(image_id) for image_id in session.queue_ids()]
    session.show_image(next((i for i in queue if _parts(studio, i) > 1), queue[0]))
    studio.until(lambda: session.editor is not None)
    work(studio, film, 3)
    for threshold in (0.91, 0.92, 0.93, 0.92, 0.91, 0.90):
        studio.page.gate._preview(threshold)
        film.take(160)
    studio.page.gate._ask()
    film.take(900)
    for _ in range(3):
        studio.until(lambda: session.editor is not None)
        session.commit()
    labels = session.judged()
    session.show_image(labels[0].image_id)
    studio.until(lambda: session.editor is not None)
    studio.window.actions_by_name["swipe"].trigger()
    compare = studio.page.stage.compare
    assert compare is not None
    for share in (0.3, 0.4, 0.5, 0.6, 0.55, 0.45):
        compare.swipe._move_line(share)
        studio.settle(0.05)
        film.take(200)
    studio.window.actions_by_name["side_by_side"].trigger()
    studio.shoot("compare", form="webp")
    film.take(1500)
    studio.window.actions_by_name["report"].trigger()
    studio.settle(1.0)
    film.take(2500)
    studio.shoot("report", form="webp")
    film.save(studio.out / "tour.webp")


def _parts(studio: Studio, image_id: int) -> int:
    assert studio.session.project is not None
    found = studio.session.project.prediction(image_id)
    return 0 if found is None else cv2.connectedComponents(found[0])[0] - 1


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--looks", action="store_true")
    parser.add_argument("--theme", default="light")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--language", default="en")
    parser.add_argument("--size", default="1200x760")
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
            if given.looks:
                look(studio, given.project)
            else:
                readme(studio)
        finally:
            studio.close()


if __name__ == "__main__":
    main()
