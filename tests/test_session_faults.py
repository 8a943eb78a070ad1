"""The session when the disk refuses, files vanish, models are damaged, and the process is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from sessions import FakeEngine, make_images, paint, square, until

from labeler import checkpoint
from labeler.checkpoint import Checkpoint
from labeler.driving import drain
from labeler.errors import CheckpointError
from labeler.files import sha256_of_file
from labeler.journal import Journal
from labeler.loop import Loop
from labeler.networks import NetworkConfig, ResidualUNet
from labeler.project import Project
from labeler.records import ImageState
from labeler.settings import Preferences, Settings
from labeler.stream import parse_source, scan
from labeler.ui.app import QuitSignals
from labeler.ui.crash import REPORTS, CrashReporter
from labeler.ui.session import Session
from labeler.ui.window import MainWindow

REPOSITORY = Path(__file__).parents[1]


def make_project(tmp_path: Path, count: int = 4, **settings: object) -> Path:
    """A project that has taken up its images."""
    folder = make_images(tmp_path / "images", count)
    values: dict[str, object] = {"first_labels": 100, "debounce_s": 0}
    with Project.create(tmp_path / "project", settings=Settings(**(values | settings)), sources=[str(folder)]) as made:
        made.add(list(scan(parse_source(str(folder)))))
        return made.folder


def opened(session: Session, qtbot: QtBot, folder: Path) -> Project:
    session.open_project(folder)
    until(qtbot, lambda: session.editor is not None)
    assert session.project is not None
    return session.project


def test_a_stroke_that_cannot_be_saved_is_told_kept_and_saved_later(
    session: Session, qtbot: QtBot, tmp_path: Path
) -> None:
    project = opened(session, qtbot, make_project(tmp_path))
    in_the_way = project.journal_path(session.current) / "folder"
    in_the_way.mkdir(parents=True)
    with qtbot.waitSignal(session.failed) as blocker:
        paint(session)
    assert blocker.args is not None
    assert "kept in memory" in blocker.args[0]
    status = session.status()
    assert status is not None
    assert "NOT SAVED" in status.saved
    first = session.current
    assert session.editor is not None
    drawn = session.editor.mask.copy()
    session.show_next()
    until(qtbot, lambda: session.editor is not None)
    session.show_previous()
    until(qtbot, lambda: session.editor is not None)
    assert np.array_equal(session.editor.mask, drawn)
    shutil.rmtree(in_the_way.parent)
    paint(session, at=5)
    draft = Journal.replay(project.journal_path(first))
    assert draft is not None
    assert np.array_equal(draft.mask(), session.editor.mask)
    status = session.status()
    assert status is not None
    assert "NOT SAVED" not in status.saved


def test_a_failed_accept_keeps_the_drawing_and_its_journal(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    project = opened(session, qtbot, make_project(tmp_path))
    first = session.current
    paint(session)
    shutil.rmtree(project.masks_folder)
    project.masks_folder.write_text("in the way")
    with qtbot.waitSignal(session.failed) as blocker:
        session.commit()
    assert blocker.args is not None
    assert blocker.args[0].startswith("Not saved")
    assert session.current == first
    assert session.editor is not None
    assert session.editor.is_changed
    assert project.drafts() == [first]
    assert project.counts().labelled == 0
    project.masks_folder.unlink()
    project.masks_folder.mkdir()
    with qtbot.waitSignal(session.committed):
        session.commit()
    assert project.drafts() == []


def test_a_project_that_is_open_elsewhere_is_told(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    folder = make_project(tmp_path)
    with Project.open(folder), qtbot.waitSignal(session.failed) as blocker:
        session.open_project(folder)
    assert blocker.args is not None
    assert str(os.getpid()) in blocker.args[1]
    assert session.project is None
    opened(session, qtbot, folder)


@pytest.mark.parametrize("fault", ["deleted", "changed", "text"])
def test_an_image_that_is_gone_or_another_one_is_told_and_can_be_left(
    fault: str, session: Session, qtbot: QtBot, tmp_path: Path
) -> None:
    project = opened(session, qtbot, make_project(tmp_path))
    victim = next(record for record in project.images() if record.image_id != session.current)
    if fault == "deleted":
        victim.path.unlink()
    elif fault == "changed":
        shutil.copy(project.image(session.current).path, victim.path)
    else:
        victim.path.write_text("no picture any more")
    with qtbot.waitSignal(session.image_refused) as refused, qtbot.waitSignal(session.failed) as blocker:
        session.show_image(victim.image_id)
    assert refused.args == [victim.image_id], "the one shown before may not stay on the canvas"
    assert blocker.args is not None
    assert victim.path.name in blocker.args[1]
    assert session.current == victim.image_id
    assert session.editor is None
    session.commit()
    assert project.counts().labelled == 0
    assert session.is_refused
    session.exclude()
    until(qtbot, lambda: session.editor is not None)
    assert not session.is_refused
    assert project.image(victim.image_id).state is ImageState.EXCLUDED


def test_an_unreadable_file_is_set_apart_and_stops_nothing(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    folder = make_project(tmp_path, 2)
    (tmp_path / "images" / "000-broken.png").write_text("no picture")
    make_images(tmp_path / "images", 1, first=70)
    project = opened(session, qtbot, folder)
    until(qtbot, lambda: len(session.columns) == 4)
    assert project.counts().unreadable == 1
    assert project.counts().pool == 3


def test_a_source_that_is_gone_is_told_and_the_project_opens(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    folder = make_project(tmp_path, 2)
    shutil.rmtree(tmp_path / "images")
    with qtbot.waitSignals([session.opened, session.failed]):
        session.open_project(folder)
    assert len(session.columns) == 2


def test_a_damaged_draft_is_set_aside_and_told(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    folder = make_project(tmp_path)
    with Project.open(folder) as project:
        first = project.images()[0].image_id
        path = project.journal_path(first)
    path.write_bytes(b"not a journal\n")
    said: list[str] = []
    session.message.connect(said.append)
    session.open_project(folder)
    until(qtbot, lambda: session.editor is not None)
    assert not path.exists()
    assert path.with_name(f"{path.name}.damaged").exists()
    assert session.project is not None
    assert session.project.drafts() == []


def test_a_champion_that_is_damaged_gives_way_to_the_one_before(
    session: Session, engine: FakeEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    folder = make_project(tmp_path, 6, threshold=1.0)
    with Project.open(folder) as project:
        loop = Loop(project)
        for record in project.images()[:2]:
            loop.commit(record.image_id, square())
        for _ in range(2):
            add_version(loop)
        assert project.champion() is not None
    engine.predict_errors[2] = CheckpointError("0002.safetensors: damaged; choose another version")
    with qtbot.waitSignals([session.failed, session.message]):
        session.open_project(folder)
    assert session.project is not None
    champion = session.project.champion()
    assert champion is not None
    assert champion.version == 1
    until(qtbot, lambda: session.project is not None and session.project.counts().pool == 0)


def add_version(loop: Loop) -> None:
    """One round by the fake engine, published."""
    engine = FakeEngine()
    job = loop.freeze_round()
    loop.finish_round(job, drain(engine.train(job, threads=1)))


def test_a_fault_of_ours_while_predicting_is_reported_not_repeated(
    session: Session, engine: FakeEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    folder = make_project(tmp_path, 6)
    with Project.open(folder) as project:
        loop = Loop(project)
        loop.commit(project.images()[0].image_id, square())
        add_version(loop)
    engine.predict_errors[1] = ZeroDivisionError("a bug")
    crashes: list[Exception] = []
    session.crashed.connect(crashes.append)
    with qtbot.waitSignal(session.crashed):
        session.open_project(folder)
    until(qtbot, lambda: session.project is not None)
    make_images(tmp_path / "images", 1, first=80)
    until(qtbot, lambda: len(session.columns) == 7)
    assert len(crashes) == 1


def test_an_engine_that_does_not_start_is_told(qtbot: QtBot, tmp_path: Path) -> None:
    class Broken(FakeEngine):
        def warm_up(self) -> Iterator[None]:  # type: ignore[override]
            raise ImportError("no module named torch")
            yield

    session = Session(Broken())
    with qtbot.waitSignal(session.failed) as blocker:
        session.open_project(tmp_path)
    assert blocker.args is not None
    assert "doctor" in blocker.args[0]
    assert session.shut_down()


@pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform says so of every dialog
def test_an_exception_nobody_caught_is_reported_and_the_work_saved(
    session: Session, qtbot: QtBot, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    project = opened(session, qtbot, make_project(tmp_path))
    window = MainWindow(session, Preferences())
    reporter = CrashReporter(session, window)
    assert session.editor is not None
    session.editor.begin_stroke(value=1, diameter=6)
    session.editor.extend_stroke([(20, 20)])
    before = sys.excepthook
    reporter.install()
    try:
        try:
            raise ValueError(f"a bug at {Path.home()}/secret")
        except ValueError as error:
            sys.excepthook(type(error), error, error.__traceback__)
        for _ in range(20):
            sys.excepthook(ValueError, ValueError("again"), None)
    finally:
        reporter.remove()
    assert sys.excepthook is before
    reports = sorted(Path.home().rglob("crash-*.txt"))
    assert len(reports) == REPORTS
    text = reports[0].read_text()
    assert "a bug at ~/secret" in text
    assert str(Path.home()) not in text
    assert project.drafts() == [session.current]  # the stroke in hand was ended and journalled
    assert "a bug" in caplog.text
    window.close()
    window.deleteLater()


@pytest.mark.qt_log_ignore("propagateSizeHints")
def test_an_exception_on_another_thread_reaches_the_main_thread(session: Session, qtbot: QtBot) -> None:
    window = MainWindow(session, Preferences())
    reporter = CrashReporter(session, window)
    reporter.install()
    try:
        with qtbot.waitSignal(reporter.caught) as blocker:
            thread = threading.Thread(target=lambda: 1 / 0)
            thread.start()
            thread.join()
    finally:
        reporter.remove()
    assert blocker.args is not None
    assert isinstance(blocker.args[0], ZeroDivisionError)
    window.close()
    window.deleteLater()


# The process is killed

CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from PySide6.QtCore import QTimer
from labeler.ui import app as program
from labeler.ui.session import Session

class Watched(Session):
    def __init__(self):
        super().__init__({engine})
        {listen}

    def say(self, *words):
        sys.stdout.write(" ".join(map(str, words)) + "\\n")
        sys.stdout.flush()

{methods}

program.Session = Watched
sys.exit(program.run(project=Path({project!r})))
"""

FAKE = "__import__('sessions').FakeEngine()"

DRAWS = """
    def soon(self, *_):
        QTimer.singleShot(0, self.draw)
    def draw(self):
        image_id, editor = self.current, self.editor
        for number in range(3):
            editor.begin_stroke(value=1, diameter=6)
            editor.extend_stroke([(10 + 8 * number, 8), (10 + 8 * number, 30)])
            if number < 2:
                self.keep_patch(editor.end_stroke())
        self.say(image_id, int(editor.mask.sum()))
"""

TRAINS = """
    def soon(self):
        QTimer.singleShot(0, self.start_round)
    def train(self, progress):
        if progress.phase == "training":
            self.say(progress.done)
"""


class Child:
    """labeler in a process of its own, offscreen, that says a line when it is where the test wants it."""

    def __init__(self, project: Path, *, listen: str, methods: str, engine: str = "None") -> None:
        source = CHILD.format(
            tests=str(REPOSITORY / "tests"), engine=engine, listen=listen, methods=methods, project=str(project)
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", source],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def line(self) -> list[int]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr is not None
            pytest.fail(f"the child said nothing: {self.process.stderr.read()}")
        return list(map(int, line.split()))

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        code = self.process.wait(timeout=30)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.errors = self.process.stderr.read()
        self.process.stderr.close()
        return code

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGKILL)

    def left_behind(self) -> bool:
        """Whether anything of its process group is still there."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_kill_in_mid_stroke_loses_at_most_that_stroke(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    folder = make_project(tmp_path)
    with Child(folder, engine=FAKE, listen="self.image_loaded.connect(self.soon)", methods=DRAWS) as child:
        image_id, painted = child.line()
        child.end(signal.SIGKILL)
    assert not child.left_behind()
    opened(session, qtbot, folder)
    assert session.current == image_id
    assert session.editor is not None
    assert painted * 0.5 < int(session.editor.mask.sum()) < painted
    assert session.editor.can_undo


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_signals_that_ask_to_quit_arrive_as_events(qtbot: QtBot) -> None:
    signals = QuitSignals()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        with qtbot.waitSignal(signals.arrived) as blocker:
            os.kill(os.getpid(), number)
        assert blocker.args == [number]
    signals.close()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_polite_signal_saves_even_the_stroke_in_hand(tmp_path: Path) -> None:
    folder = make_project(tmp_path)
    with Child(folder, engine=FAKE, listen="self.image_loaded.connect(self.soon)", methods=DRAWS) as child:
        image_id, painted = child.line()
        assert child.end(signal.SIGTERM) == 0, child.errors
    assert "Traceback" not in child.errors
    with Project.open(folder) as project:
        draft = Journal.replay(project.journal_path(image_id))
    assert draft is not None
    assert int(draft.mask().sum()) == painted


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_kill_in_mid_round_leaves_the_champion_and_a_project_that_opens(
    session: Session, engine: FakeEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    folder = make_project(tmp_path, 6, first_labels=2, holdout_every=3, base_width=2, patch=32, steps=100_000)
    with Project.open(folder) as project:
        loop = Loop(project)
        network = ResidualUNet(NetworkConfig(2, 3, 1, 0.0))
        checkpoint.save(tmp_path / "net.safetensors", Checkpoint.of(network, {}))
        loop.adopt_model(tmp_path / "net.safetensors")
        for record in project.images()[:4]:
            loop.commit(record.image_id, square())
        before = project.champion()
    assert before is not None
    listen = "self.round_progressed.connect(self.train); self.opened.connect(self.soon)"
    with Child(folder, listen=listen, methods=TRAINS) as child:
        while child.line()[0] < 5:
            pass
        child.end(signal.SIGKILL)
    assert not child.left_behind()
    assert sorted(path.name for path in before.path.parent.glob("*.safetensors")) == [before.path.name]
    project = opened(session, qtbot, folder)
    after = project.champion()
    assert after is not None
    assert (after.version, after.sha256) == (before.version, before.sha256)
    assert sha256_of_file(after.path) == after.sha256
    assert project.counts().labelled == 4
    with qtbot.waitSignal(session.round_ended) as blocker:
        session.start_round()
    assert blocker.args is not None
    assert blocker.args[0].version == before.version + 1
