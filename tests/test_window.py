"""The window: what it renders of a session's news, and what it asks the session for."""

from __future__ import annotations

import html
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeSession, image_record, status_of, version_record
from PySide6.QtCore import QEvent, QMimeData, QObject, QPoint, QPointF, QSize, Qt, QUrl
from PySide6.QtGui import QAction, QDropEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QScrollBar,
    QSpinBox,
    QWidget,
)
from pytestqt.qtbot import QtBot
from sessions import open_window

from labeler.acquisition import ACQUISITIONS
from labeler.records import Counts, ImageState, Progress, VersionStatus
from labeler.settings import Settings
from labeler.ui.actions import ACTIONS
from labeler.ui.controls import PlainLabel
from labeler.ui.form import SettingsDialog
from labeler.ui.plots import Curves
from labeler.ui.progress import ProgressPanel
from labeler.ui.theme import DARK, LIGHT, theme
from labeler.ui.window import MainWindow, dropped_folder
from labeler.ui.wording import percent
from labeler.ui.workspace import Workspace

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform has none

STATES = (ImageState.QUEUED, ImageState.ACCEPTED, ImageState.QUEUED, ImageState.LABELLED)


@pytest.fixture
def session(tmp_path: Path) -> FakeSession:
    records = [image_record(number, STATES[number % 4]) for number in range(1, 41)]
    return FakeSession(tmp_path / "nuclei", records)


@pytest.fixture
def window(qtbot: QtBot, session: FakeSession) -> Iterator[MainWindow]:
    window = open_window(qtbot, session)
    yield window
    window.close()
    theme.apply("light", 1.0)


@pytest.fixture
def page(window: MainWindow, session: FakeSession) -> Workspace:
    """The page of an open project with an image in front."""
    session.become_open()
    session.load(4)
    assert window.workspace is not None
    return window.workspace


def press(window: MainWindow, qtbot: QtBot, target: QWidget, key: str) -> None:
    """Press a key or a chord on a widget that has the focus."""
    target.setFocus()
    pressed = QKeySequence(key)[0]
    qtbot.keyClick(target, pressed.key(), pressed.keyboardModifiers())


# The start page


def test_start_page_offers_sample_folder_and_project(window: MainWindow, session: FakeSession, qtbot: QtBot) -> None:
    qtbot.mouseClick(window.start.entries[0], Qt.MouseButton.LeftButton)

    assert session.asked == [("open_sample",)]
    assert len(window.start.entries) == 3


def test_recent_projects_that_are_gone_are_left_out(window: MainWindow, session: FakeSession, tmp_path: Path) -> None:
    kept = tmp_path / "<i>kept</i>".replace("/", "")
    kept.mkdir()
    (kept / "project.toml").write_text("")

    window.start.show_recent([str(kept), str(tmp_path / "gone")])

    names = [label.text() for label in window.start.findChildren(QLabel) if label.text() == kept.name]
    assert names == [kept.name]
    assert all(str(tmp_path / "gone") not in label.text() for label in window.start.findChildren(QLabel))


def test_failure_before_a_project_is_open_is_told_on_the_start_page(window: MainWindow, session: FakeSession) -> None:
    session.failed.emit("The project cannot be opened", "x: is locked by process 12; close it there")

    assert not window.start.banner.isHidden()
    assert "process 12" in window.start.banner.sentence.text()


def test_opened_project_is_remembered(window: MainWindow, session: FakeSession, tmp_path: Path) -> None:
    session.become_open()

    assert window.preferences.recent == (str(tmp_path / "nuclei"),)
    assert window.windowTitle().startswith("nuclei")


class ShownWindows(QObject):
    """Notes every widget that becomes a window of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.Show and isinstance(watched, QWidget) and watched.isWindow():
            self.names.append(f"{type(watched).__name__} {watched.accessibleName()}")
        return False


def test_opening_a_project_shows_no_second_window(window: MainWindow, session: FakeSession) -> None:
    # A widget that is shown before it has a parent is a window for a moment, and takes the keyboard with it.
    shown = ShownWindows()
    QApplication.instance().installEventFilter(shown)

    session.become_open()
    session.load(4)
    QApplication.instance().removeEventFilter(shown)

    assert shown.names == []
    assert window.isActiveWindow()


# Keys


def test_live_actions_share_no_key_in_any_menu(page: Workspace, window: MainWindow) -> None:
    taken: dict[str, str] = {}
    for action in window.findChildren(QAction):
        for key in action.shortcuts():
            assert key.toString() not in taken, f"{key.toString()}: {action.text()} and {taken[key.toString()]}"
            taken[key.toString()] = action.text()
    assert len(taken) > 40


@pytest.mark.parametrize(
    ("key", "intent"),
    [
        ("Ctrl+Return", ("commit",)),
        ("Return", ("commit",)),
        ("D", ("show_next",)),
        ("A", ("show_previous",)),
        ("Ctrl+Space", ("skip",)),
        ("Ctrl+Del", ("exclude",)),
        ("Shift+H", ("fill_holes",)),
        ("Ctrl+R", ("revert",)),
        ("Ctrl+T", ("start_round",)),
    ],
)
def test_key_becomes_intent(
    key: str, intent: tuple[str, ...], page: Workspace, window: MainWindow, session: FakeSession, qtbot: QtBot
) -> None:
    session.asked.clear()

    press(window, qtbot, page.canvas, key)

    assert session.asked == [intent]


def test_undo_and_redo_follow_the_status(
    page: Workspace, window: MainWindow, session: FakeSession, qtbot: QtBot
) -> None:
    session.asked.clear()
    press(window, qtbot, page.canvas, "Ctrl+Z")
    session.status_changed.emit(status_of(can_undo=True, can_redo=True))
    for key in ("Ctrl+Z", "Ctrl+Shift+Z", "Ctrl+Y"):
        press(window, qtbot, page.canvas, key)

    assert session.asked == [("undo",), ("redo",), ("redo",)]


def test_return_does_not_accept_a_drafted_image(
    page: Workspace, window: MainWindow, session: FakeSession, qtbot: QtBot
) -> None:
    assert session.editor is not None
    session.editor.fill_polygon([(1, 1), (20, 1), (20, 20)], value=1)
    session.drafted.emit(4, True)
    session.asked.clear()

    press(window, qtbot, page.canvas, "Return")
    assert session.asked == []
    press(window, qtbot, page.canvas, "Ctrl+Return")

    assert session.asked == [("commit",)]


@pytest.mark.parametrize("key", ["B", "D", "1", "Return", "?", "X", "["])
def test_plain_keys_are_off_in_text_fields(
    key: str, page: Workspace, window: MainWindow, session: FakeSession, qtbot: QtBot
) -> None:
    page.gallery.setCurrentIndex(1)
    window.actions_by_name["eraser"].trigger()
    session.asked.clear()

    press(window, qtbot, page.gallery.filters.search, key)

    assert session.asked == []
    assert page.canvas.tool.value == "eraser"
    assert QApplication.activeModalWidget() is None


def test_tools_sizes_and_looks_by_key(page: Workspace, window: MainWindow, qtbot: QtBot) -> None:
    press(window, qtbot, page.canvas, "E")
    assert page.canvas.tool.value == "eraser"
    press(window, qtbot, page.canvas, "X")
    assert page.canvas.tool.value == "brush"
    before = page.canvas.diameter
    press(window, qtbot, page.canvas, "]")
    assert page.canvas.diameter > before
    assert page.options.diameter.value() == round(page.canvas.diameter)
    press(window, qtbot, page.canvas, "C")
    assert page.canvas.overlay == "contour"
    press(window, qtbot, page.canvas, "V")
    assert page.canvas.overlay == "off"
    press(window, qtbot, page.canvas, "V")
    assert page.canvas.overlay == "contour"
    before = page.canvas.opacity
    press(window, qtbot, page.canvas, "O")
    assert page.canvas.opacity > before


def test_number_without_a_class_changes_nothing(page: Workspace, session: FakeSession, window: MainWindow) -> None:
    assert session.project is not None
    session.project.settings = Settings(classes=("cell", "<b>& debris"))
    page.adopt_project()

    window.actions_by_name["class_2"].trigger()
    window.actions_by_name["class_7"].trigger()

    assert page.canvas.class_value == 2


def test_classes_can_be_named_with_and_without_a_model(
    page: Workspace, window: MainWindow, session: FakeSession
) -> None:
    for champion in (3, None):
        session.status_changed.emit(status_of(champion=champion))
        window.show_settings()
        dialog = window.findChildren(SettingsDialog)[-1]
        assert dialog.project is not None
        assert dialog.project.fields["classes"].control.isEnabled()
        dialog.reject()


def test_no_action_fails_in_any_state(
    window: MainWindow, session: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("choose_folder", "choose_more", "choose_project"):
        monkeypatch.setattr(MainWindow, name, lambda self: None)
    session.become_open()
    skipped = {"quit", "open_folder", "add_images", "open_project", "export", "settings", "key_map", "about", "palette"}
    for image, spec in product((False, True), ACTIONS):
        if image and session.current < 0:
            session.load(4, predicted=False)
        if spec.name not in skipped:
            window.actions_by_name[spec.name].trigger()


# What is shown


def test_strip_tells_the_figures(page: Workspace, window: MainWindow, session: FakeSession) -> None:
    session.status_changed.emit(status_of(saved="saved 2 s ago", round="v4: training 3/250", stream="watching"))

    shown = window.strip.texts()
    assert shown["streamed"] == "40 streamed"
    assert shown["accepted"] == "8 accepted"
    assert shown["queued"] == "30 queued"
    assert shown["model"] == "Model v3 (IoU 0.912 on holdout)"
    assert (shown["round"], shown["stream"], shown["saved"]) == ("v4: training 3/250", "watching", "saved 2 s ago")


def test_nearly_all_is_not_said_to_be_all() -> None:
    assert [percent(share) for share in (0.0, 0.0004, 0.004, 0.5, 0.996, 1.0)] == [
        *("0%", "<1%", "<1%", "50%", ">99%", "100%")
    ]
    assert percent(0.0004, digits=1) == "<0.1%"


def test_cold_start_is_explained(page: Workspace, session: FakeSession) -> None:
    counts = Counts(streamed=40, pool=38, labelled=2, core=2)

    session.status_changed.emit(status_of(champion=None, holdout_iou=None, counts=counts))

    assert page.guide.text() == "Label 8 images for the first model · 2/8"
    assert page.guide.isVisible()


def test_empty_queue_explains_the_next_step(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    session = window.session
    session.all = {1: image_record(1, ImageState.ACCEPTED)}
    session.become_open(counts=Counts(streamed=1, accepted=1))
    page = window.workspace
    assert page is not None

    qtbot.waitUntil(lambda: page.gallery.queue.empty.isVisible())

    assert "raise it, or export" in page.gallery.queue.empty.text()


def test_queue_and_gallery_show_their_filters_of_the_same_records(page: Workspace, session: FakeSession) -> None:
    page.gallery.setCurrentIndex(1)
    assert page.gallery.queue.model.rowCount() == 20
    assert page.gallery.gallery.model.rowCount() == 40

    page.gallery.filters.state.setCurrentIndex(page.gallery.filters.state.findData(ImageState.ACCEPTED))
    page.gallery.filters.search.setText("0013")
    page.gallery.arrange()

    assert page.gallery.gallery.model.rowCount() == 1


def test_new_images_are_appended_without_a_reset(page: Workspace, session: FakeSession, qtbot: QtBot) -> None:
    model = page.gallery.gallery.model
    page.gallery.setCurrentIndex(1)
    session.all[41] = image_record(41, ImageState.POOL)

    with qtbot.assertNotEmitted(model.modelReset), qtbot.waitSignal(model.rowsInserted):
        session.images_changed.emit({41})

    assert model.rowCount() == 41


def test_choosing_a_row_asks_for_its_image(page: Workspace, session: FakeSession) -> None:
    page.gallery.arrange()
    session.asked.clear()

    page.gallery.queue.view.setCurrentIndex(page.gallery.queue.model.index(2))

    assert [asked[0] for asked in session.asked] == ["show_image"]


def test_shown_image_is_marked_without_being_asked_for_again(page: Workspace, session: FakeSession) -> None:
    page.gallery.arrange()
    session.asked.clear()

    session.load(8)

    assert page.gallery.queue.view.currentIndex().row() == page.gallery.queue.model.row_of(8)
    assert session.asked == []


def test_gate_asks_for_a_threshold_and_tells_its_effect(page: Workspace, session: FakeSession) -> None:
    page.gate.show_confidences(np.array([0.2, 0.5, 0.9, 0.95]))
    session.asked.clear()

    page.gate.histogram.moved.emit(0.6)
    page.gate.histogram.released.emit()

    assert session.asked == [("set_threshold", 0.6)]
    assert page.gate.effect.text() == "Accepts 2 of 4 (50%), not calibrated yet"


def test_round_fills_the_training_panel(page: Workspace, session: FakeSession) -> None:
    session.round_started.emit()
    for step in range(1, 51):
        session.round_progressed.emit(Progress("training", step, 250, {"loss": 1 / step}))
    session.round_progressed.emit(Progress("checking", 50, 250, {"core_iou": 0.75}))

    assert page.training.loss_title.text() == "Loss  0.020"
    assert page.training.iou_title.text() == "IoU on the core  0.750"
    assert page.training.stop.isEnabled()

    session.round_ended.emit("The round was stopped; the model in use stays.")

    assert page.training.phase.text().startswith("The round was stopped")
    assert not page.training.stop.isEnabled()


def test_clicking_a_version_offers_the_way_back(qtbot: QtBot) -> None:
    panel = ProgressPanel()
    qtbot.addWidget(panel)
    versions = [version_record(1, 0.8, VersionStatus.RETIRED), version_record(2, 0.9, VersionStatus.CHAMPION)]
    panel.show_curves(Curves(core=[11, 15], versions=versions))

    panel.choose(2)
    assert panel.back.isHidden()
    panel.choose(1)
    with qtbot.waitSignal(panel.rollback_requested) as asked:
        panel.back.click()

    assert asked.args == [1]


def test_failure_stays_until_it_is_closed(page: Workspace, session: FakeSession) -> None:
    session.failed.emit("The image cannot be opened", "a.png: changed on disk; restore it")

    assert page.banner.isVisible()
    assert "restore it" in page.banner.sentence.text()


def test_file_names_are_never_read_as_html(page: Workspace, session: FakeSession) -> None:
    session.all[4] = image_record(4, path=Path("/images/<img src=x>.png"))
    session.images_changed.emit({4})

    assert page.inspector.name.text() == "<img src=x>.png"
    assert page.inspector.name.textFormat() is Qt.TextFormat.PlainText
    assert html.escape("<img src=x>.png") not in page.inspector.name.text()
    for label in page.window().findChildren(QLabel):
        assert isinstance(label, PlainLabel) or not label.text(), label.text()


# Everyone


def test_every_control_has_an_accessible_name(page: Workspace, window: MainWindow) -> None:
    kinds = (QAbstractButton, QComboBox, QAbstractSlider, QSpinBox, QLineEdit, QAbstractItemView)
    for control in (widget for kind in kinds for widget in window.findChildren(kind)):
        inner = isinstance(control, QScrollBar) or isinstance(control.parent(), QComboBox | QSpinBox | QLineEdit)
        if inner or control.objectName().startswith("qt_") or type(control).__name__ == "QComboBoxPrivateContainer":
            continue
        if any(type(parent).__name__.startswith("QComboBox") for parent in _ancestors(control)):
            continue
        assert control.accessibleName(), f"{type(control).__name__} {control.objectName()} {control.toolTip()!r}"


def _ancestors(widget: QWidget) -> Iterator[QWidget]:
    parent = widget.parentWidget()
    while parent is not None:
        yield parent
        parent = parent.parentWidget()


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_window_fits_a_small_screen_and_cuts_no_button(
    scale: float, page: Workspace, window: MainWindow, session: FakeSession, qtbot: QtBot
) -> None:
    theme.apply("dark", scale)
    session.round_started.emit()
    window.resize(1280, 800)
    qtbot.waitUntil(lambda: window.size() == QSize(1280, 800))
    for tab in range(page.tabs.count()):
        page.tabs.setCurrentIndex(tab)
        QApplication.processEvents()
        for button in window.findChildren(QAbstractButton):
            if button.isVisible() and (button.text() or not button.icon().isNull()) and button.parent() is not None:
                assert button.width() >= button.minimumSizeHint().width(), button.accessibleName()
                right = button.mapTo(window, QPoint(button.width(), 0)).x()
                assert right <= window.width(), button.accessibleName()


def test_theme_is_switched_live(page: Workspace, window: MainWindow) -> None:
    theme.apply("dark", 1.0)
    assert theme.colours is DARK
    assert QApplication.palette().window().color().name() == DARK.window.lower()

    theme.apply("light", 1.0)
    assert theme.colours is LIGHT


# Drag and drop


def test_dropped_image_means_its_folder(tmp_path: Path) -> None:
    image, folder = tmp_path / "a.PNG", tmp_path / "images"
    image.write_bytes(b"")
    folder.mkdir()

    assert dropped_folder([QUrl("https://example.org/a.png")]) is None
    assert dropped_folder([QUrl.fromLocalFile(str(tmp_path / "a.txt"))]) is None
    assert dropped_folder([QUrl.fromLocalFile(str(image))]) == tmp_path
    assert dropped_folder([QUrl.fromLocalFile(str(folder))]) == folder


def test_dropped_project_is_opened(window: MainWindow, session: FakeSession, tmp_path: Path) -> None:
    (tmp_path / "project.toml").write_text("")
    payload = QMimeData()
    payload.setUrls([QUrl.fromLocalFile(str(tmp_path))])

    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    window.dropEvent(QDropEvent(QPointF(5, 5), copy, payload, left, none))

    assert session.asked == [("open_project", tmp_path)]


def test_dropped_folder_is_looked_into_first(window: MainWindow, session: FakeSession, tmp_path: Path) -> None:
    payload = QMimeData()
    payload.setUrls([QUrl.fromLocalFile(str(tmp_path))])

    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    window.dropEvent(QDropEvent(QPointF(5, 5), copy, payload, left, none))

    assert session.asked == [("survey", tmp_path)]
    QApplication.activeModalWidget().close()


# The end


def test_closing_keeps_what_the_canvas_changed(page: Workspace, window: MainWindow, session: FakeSession) -> None:
    page.canvas.brush_diameter = 37

    window.close()

    assert window.preferences.brush == 37
    assert ("close_project",) in session.asked


def test_queue_is_sorted_by_what_the_person_chooses_and_shows_what_is_in_use(
    page: Workspace, session: FakeSession
) -> None:
    box = page.gallery.queue_order
    assert box.currentData() == "informative"
    assert {box.itemData(index) for index in range(box.count())} == set(ACQUISITIONS)
    box.setCurrentIndex(box.findData("entropy"))
    box.activated.emit(box.currentIndex())
    name, settings = session.asked[-1]
    assert (name, settings.acquisition) == ("save_settings", "entropy")


def test_key_of_the_map_of_doubt_asks_where_views_disagree_and_shows_it(page: Workspace, session: FakeSession) -> None:
    session.load(1)
    page.switch_doubt()
    assert session.asked[-1] == ("want_doubt", True)
    torn = page.canvas.grab().toImage()
    record = session.record(1)
    session.views_disagree = np.full((record.height, record.width), 200, np.uint8)
    session.doubt_changed.emit(1)
    assert page.canvas.grab().toImage() != torn
    session.views_disagree = None
    session.doubt_changed.emit(1)
    assert page.canvas.grab().toImage() == torn
    page.switch_doubt()
    assert session.asked[-1] == ("want_doubt", False)


def test_empty_queue_leads_to_the_audits_that_wait(qtbot: QtBot, window: MainWindow) -> None:
    session = window.session
    session.all = {1: image_record(1, ImageState.ACCEPTED)}
    counts = Counts(streamed=90, accepted=90)
    session.become_open(counts=counts, audits_waiting=10)
    page = window.workspace
    assert page is not None
    queue, audit = page.gallery.queue, page.gallery.audit
    qtbot.waitUntil(lambda: queue.empty.isVisible() and audit.isVisible())
    assert queue.empty.text() == "Nothing below the threshold: raise it · audit 10 accepted masks · export"
    audit.click()
    assert session.asked[-1] == ("next_audit",)

    assert page.gallery.export.isVisible()

    session.status_changed.emit(status_of(counts=counts, audits_waiting=0))
    assert "No audit waits" in queue.empty.text()
    assert not audit.isVisible()
    session.status_changed.emit(status_of(counts=Counts(streamed=90, pool=80, accepted=10), audits_waiting=10))
    assert not audit.isVisible()
    assert not page.gallery.export.isVisible()


def _gallery_ids(page: Workspace) -> list[int]:
    model = page.gallery.gallery.model
    return [model.id_at(row) for row in range(model.rowCount())]


def test_bar_of_the_histogram_shows_its_images(page: Workspace, session: FakeSession, qtbot: QtBot) -> None:
    asked: list[float] = []
    page.gate.threshold_requested.connect(asked.append)
    histogram = page.gate.histogram
    qtbot.waitUntil(lambda: "of" in page.gate.effect.text())  # the bars have been counted
    left, width = histogram._span()
    qtbot.mouseClick(histogram, Qt.MouseButton.RightButton, pos=QPoint(round(left + 0.53 * width), 20))
    expected = [n for n, record in session.all.items() if 0.52 <= (record.confidence or 0) <= 0.54]
    assert page.gallery.currentIndex() == 1
    assert _gallery_ids(page) == expected
    assert 0 < len(expected) < len(session.all)

    page.gallery.filters.reset()
    histogram.show_threshold(0.51)
    histogram.setFocus()
    qtbot.keyClick(histogram, Qt.Key.Key_Return)
    assert max(_gallery_ids(page)) == 20
    qtbot.mouseClick(histogram, Qt.MouseButton.RightButton, pos=QPoint(round(left + 0.1 * width), 20))
    assert max(_gallery_ids(page)) == 20  # there is no bar
    assert not asked


def test_point_of_a_round_shows_what_was_new_in_it(page: Workspace, session: FakeSession) -> None:
    page.progress.show_curves(session.curves())
    line = page.progress._core_line
    points = line.scatter.points()
    line.scatter.sigClicked.emit(line.scatter, points[1:2], None)
    assert _gallery_ids(page) == [1, 2]
    picked = page.gallery.filters.picked
    assert picked.text() == "New in round 2"
    assert picked.isVisible()
    picked.setChecked(False)
    assert len(_gallery_ids(page)) == len(session.all)

    line.scatter.sigClicked.emit(line.scatter, points[2:3], None)
    assert "No label was new in round 3." in page.toast.text.text()
