"""Fixtures that every test may use."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from labeler.openmp import wait_briefly

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot
    from sessions import FakeEngine

    from labeler.ui.session import Session
    from labeler.ui.window import MainWindow

# Set before anything imports torch or Qt.
wait_briefly()
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
# A shell that runs the tests in the background leaves SIGINT ignored, for us and for every child of ours.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the preferences of the person who runs it."""
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(home))


@pytest.fixture(autouse=True)
def _cursor_in_the_corner(request: pytest.FixtureRequest) -> None:
    """No window opens under the cursor that the test before has left somewhere: what is under it is drawn otherwise."""
    if "qtbot" in request.fixturenames:
        request.getfixturevalue("qapp")
        from PySide6.QtGui import QCursor

        QCursor.setPos(0, 0)


@pytest.fixture
def engine() -> FakeEngine:
    """Computes nothing and answers at once."""
    from sessions import FakeEngine  # Qt, which most tests do without

    return FakeEngine()


@pytest.fixture
def session(engine: FakeEngine, qtbot: QtBot) -> Iterator[Session]:
    """A real session on the fake engine; what it says of failures is kept in ``failures``."""
    from sessions import end

    from labeler.ui.session import Session

    session = Session(engine)
    session.failures = []  # type: ignore[attr-defined]
    session.failed.connect(lambda title, sentence: session.failures.append((title, sentence)))  # type: ignore[attr-defined]
    yield session
    end(session, engine)


@pytest.fixture
def window(session: Session, qtbot: QtBot) -> Iterator[MainWindow]:
    """The real window on ``session``."""
    from sessions import open_window

    window = open_window(qtbot, session)
    yield window
    window.close()


@pytest.fixture
def realdata() -> Path:
    """Folder of the real image sets: LABELER_DATA, else ../shared/data."""
    folder = Path(os.environ.get("LABELER_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set LABELER_DATA")
    return folder
