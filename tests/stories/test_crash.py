"""The program is killed in the middle of a stroke: everything before that stroke is there again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from sessions import start, until

from labeler.ui.window import MainWindow

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform has none

TESTS = Path(__file__).parents[1]

# Paints one whole stroke and half of another, then dies as by a power cut.
VICTIM = """
import os, sys
from pathlib import Path
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from sessions import FakeEngine, stroke
from labeler.settings import Preferences
from labeler.ui.app import application
from labeler.ui.session import Session
from labeler.ui.window import MainWindow

app = application()
session = Session(FakeEngine())
window = MainWindow(session, Preferences())
window.show()
session.open_project(Path(sys.argv[1]))
while session.editor is None:
    app.processEvents()
canvas = window.workspace.canvas
stroke(canvas)
app.processEvents()
print(session.current, int(session.editor.mask.sum()), flush=True)
QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=QPoint(30, 30))
QTest.mouseMove(canvas, QPoint(60, 60))
os._exit(9)
"""


def test_crash_in_a_stroke(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    session = window.session
    folder = start(session, qtbot, tmp_path)
    window.actions_by_name["close_project"].trigger()

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
    died = subprocess.run(
        [sys.executable, "-c", VICTIM, str(folder)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert died.returncode == 9, died.stderr
    image_id, painted = map(int, died.stdout.split())
    assert painted > 0

    with qtbot.waitSignal(session.message) as told:
        session.open_project(folder)
    until(qtbot, lambda: session.editor is not None)
    assert told.args == ["Your drawings that were not accepted yet are back: 1"]
    assert session.current == image_id
    assert session.editor is not None
    assert int(session.editor.mask.sum()) == painted
    assert session.editor.can_undo
    session.undo()
    assert not np.any(session.editor.mask)
