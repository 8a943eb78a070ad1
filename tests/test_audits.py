"""The audit in the window: blind, two keys, haste asks for a second look; the Trust panel and its words."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import image_record
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from labeler.evidence import Evidence, risk_coverage
from labeler.records import Counts, ImageState
from labeler.ui import haste
from labeler.ui.auditing import AuditCase, AuditDialog, outlined
from labeler.ui.gate import GatePanel
from labeler.ui.rowlist import describe
from labeler.ui.trust import TrustPanel
from labeler.ui.wording import Figures, certified_text, doubts_of, gate_text, strip_items, why_here

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform has none


def _case(accept_id: int = 7, *, empty: bool = False) -> AuditCase:
    image = np.full((40, 60, 3), 128, np.uint8)
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 10:40] = not empty
    return AuditCase(accept_id, 3, image, mask, 5)


@pytest.fixture
def dialog(qtbot: QtBot) -> AuditDialog:
    made = AuditDialog()
    qtbot.addWidget(made)
    made.show()
    return made


def test_two_keys_answer(dialog: AuditDialog, qtbot: QtBot) -> None:
    answers: list[tuple[int, bool]] = []
    dialog.answered.connect(lambda accept_id, wrong, _seconds: answers.append((accept_id, wrong)))
    dialog.show_case(_case(7))
    qtbot.keyClick(dialog, Qt.Key.Key_J)
    dialog.show_case(_case(8))
    qtbot.keyClick(dialog, Qt.Key.Key_F)
    qtbot.keyClick(dialog, Qt.Key.Key_F)  # nothing is shown any more
    assert answers == [(7, False), (8, True)]


def test_dialog_tells_nothing_of_the_score(dialog: AuditDialog) -> None:
    dialog.show_case(_case())
    texts = " ".join((dialog.question.text(), dialog.count.text(), dialog.notice.text()))
    assert "5 audits wait" in texts
    assert not any(word in texts.lower() for word in ("confidence", "0.", "model v"))
    dialog.show_case(_case(empty=True))
    assert "nothing here" in dialog.question.text()


def test_answers_faster_than_a_glance_ask_for_a_second_look(dialog: AuditDialog, qtbot: QtBot) -> None:
    answers: list[int] = []
    dialog.answered.connect(lambda accept_id, _wrong, _seconds: answers.append(accept_id))
    for number in range(haste.HASTY):
        dialog.show_case(_case(number))
        dialog.right.click()
    assert answers == list(range(haste.HASTY - 1))
    assert dialog.notice.isVisible()
    dialog.right.click()
    assert answers == list(range(haste.HASTY))
    assert not dialog.notice.isVisible()


def test_slow_answers_are_taken_as_they_are(dialog: AuditDialog, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(haste, "GLANCE_S", 0.0)
    answers: list[int] = []
    dialog.answered.connect(lambda accept_id, _wrong, _seconds: answers.append(accept_id))
    for number in range(12):
        dialog.show_case(_case(number))
        dialog.right.click()
    assert answers == list(range(12))


def test_outline_is_of_the_mask_whatever_the_size_of_the_picture() -> None:
    picture = np.full((80, 120, 3), 128, np.uint8)
    drawn = outlined(picture, _case().mask)
    changed = (drawn != picture).any(axis=2)
    assert changed[20, 40]
    assert not changed[40, 40]
    assert (picture == 128).all()
    assert (outlined(picture, _case(empty=True).mask) == picture).all()


def test_v_held_shows_the_image_alone(dialog: AuditDialog, qtbot: QtBot) -> None:
    dialog.show_case(_case())
    qtbot.keyPress(dialog, Qt.Key.Key_V)
    assert dialog.picture.is_bare
    qtbot.keyRelease(dialog, Qt.Key.Key_V)
    assert not dialog.picture.is_bare


# Words


def test_strip_tells_the_bound_and_the_audits_that_wait() -> None:
    figures = Figures(counts=Counts(streamed=9999, accepted=9412), champion=7, wrong_at_most=71)
    assert certified_text(figures) == "of 9,412 accepted, at most 71 wrong (95 %)"
    waiting = Figures(counts=Counts(accepted=40), champion=7, wrong_at_most=400, audits_waiting=3, is_alarmed=True)
    shown = dict(strip_items(waiting))
    assert shown["certificate"] == "No bound on wrong masks yet · 3 audits wait"
    assert "changed" in shown["alarm"]
    assert "certificate" not in dict(strip_items(Figures()))


def test_inspector_says_why_in_words_and_numbers() -> None:
    signals = {"view_iou_min": 0.61, "doubt_x": 0.1, "doubt_y": 0.45, "look_distance": 0.5, "kept": 0.99}
    record = image_record(1, confidence=0.4, signals=signals)
    assert "most on the left, smallest IoU between them 0.61" in why_here(record, 0.8)
    assert "looks like no core image, distance 0.50" in why_here(record, 0.8)
    assert len(doubts_of(record)) == 2
    replaced = image_record(1, confidence=0.4, signals={"kept": 0.3, "core_distance": 0.4})
    assert "the model before saw another mask, IoU 0.30" in why_here(replaced, 0.8)
    assert "sees no core image like it, distance 0.40" in why_here(replaced, 0.8)
    assert why_here(image_record(1, confidence=0.4), 0.8) == "Confidence 0.40 is below the threshold 0.80."


@pytest.mark.parametrize(
    ("across", "down", "said"),
    [
        (0.9, 0.6, "on the right"),
        (0.5, 0.2, "at the top"),
        (0.4, 0.8, "at the bottom"),
        (0.5, 0.6, "ree, smallest"),
    ],
)
def test_inspector_says_where_views_disagree(across: float, down: float, said: str) -> None:
    signals = {"view_iou_min": 0.61, "doubt_x": across, "doubt_y": down}
    assert said in why_here(image_record(1, confidence=0.4, signals=signals), 0.8)


def test_every_confidence_says_when_it_is_not_calibrated() -> None:
    assert describe(image_record(1, confidence=0.87)).startswith("87% (not calibrated yet)")
    assert describe(image_record(1, confidence=0.87, signals={"wrong": 0.1})) == "87% · Waits for you"
    assert gate_text(3, 4, is_calibrated=False).endswith("not calibrated yet")
    assert "calibrated" not in gate_text(3, 4, expected=0.01)


def test_list_tells_no_score_of_a_probe_that_waits() -> None:
    assert describe(image_record(1, confidence=0.87, probe=True)) == "Waits for you"
    assert "87%" in describe(image_record(1, ImageState.LABELLED, confidence=0.87, probe=True))


def test_probe_is_judged_for_itself() -> None:
    said = why_here(image_record(1, confidence=0.93, probe=True), 0.8)
    assert "probe" in said
    assert "0.93" not in said


# The panel


@pytest.fixture
def panel(qtbot: QtBot) -> TrustPanel:
    made = TrustPanel()
    qtbot.addWidget(made)
    return made


def _evidence(count: int = 40, *, threshold: float | None = None, calibrated: bool = False) -> Evidence:
    rng = np.random.default_rng(0)
    pairs = tuple((n, float(c), float(c)) for n, c in enumerate(rng.random(count)))
    return Evidence(
        pairs=pairs,
        history=((100, 60, 7), (200, 40, 8)),
        drift=tuple((n, 0.01 * n) for n in range(700)),
        certified_threshold=threshold,
        is_calibrated=calibrated,
    )


def test_marks_open_their_images(panel: TrustPanel) -> None:
    asked: list[int] = []
    panel.image_requested.connect(asked.append)
    panel.show_evidence(_evidence(), below=0.8)
    for marks in (panel._pairs, panel._sights, panel._risks, panel._bounds):
        points = marks.points()
        marks.sigClicked.emit(marks, points[:1], None)
        assert asked[-1] == points[0].data()
    assert len(panel._pairs.points()) == len(panel._risks.points()) == 40
    assert [point.data() for point in panel._bounds.points()] == [7, 8]


def test_bin_of_the_reliability_plot_shows_its_images(panel: TrustPanel) -> None:
    asked: list[tuple[frozenset[int], str]] = []
    panel.images_requested.connect(lambda ids, name: asked.append((ids, name)))
    evidence = _evidence()
    panel.show_evidence(evidence, below=0.8)
    points = panel._bins.points()
    panel._bins.sigClicked.emit(panel._bins, points[-1:], None)
    ids, name = asked[0]
    surest = sorted(evidence.pairs, key=lambda pair: pair[1])[-len(ids) :]
    assert ids == {image_id for image_id, _, _ in surest}
    assert "near" in name


def test_panel_says_what_is_missing(panel: TrustPanel) -> None:
    panel.show_evidence(Evidence(), below=0.8)
    assert "Not calibrated yet" in panel.calibration.text()
    assert panel.propose.isHidden()
    panel.show_evidence(_evidence(threshold=0.91, calibrated=True), below=0.8)
    assert "0.910" in panel.propose.text()
    asked: list[float] = []
    panel.threshold_requested.connect(asked.append)
    panel.propose.click()
    assert asked == [0.91]


def test_alarm_waits_for_the_person(panel: TrustPanel) -> None:
    panel.show_certificate("of 10 accepted, at most 2 wrong (95 %)", waiting=0, alarmed=True)
    assert not panel.go_on.isHidden()
    assert not panel.audit.isEnabled()
    panel.show_certificate("", waiting=4, alarmed=False)
    assert panel.go_on.isHidden()
    assert panel.audit.isEnabled()


def test_risk_falls_as_less_is_accepted() -> None:
    pairs = [(1, 0.9, 0.95), (2, 0.8, 0.9), (3, 0.5, 0.2)]
    assert risk_coverage(pairs, below=0.8) == [(1 / 3, 0.0, 1), (2 / 3, 0.0, 2), (1.0, 1 / 3, 3)]
    assert risk_coverage([], below=0.8) == []


def test_expected_wrong_is_of_what_the_threshold_accepts(qtbot: QtBot) -> None:
    gate = GatePanel()
    qtbot.addWidget(gate)
    gate.show_confidences(np.array([0.9, 0.8, 0.3]), np.array([0.0, 0.2, 0.9]))
    gate.show_risk(0.014, is_calibrated=True)
    gate.show_threshold(0.8, can_undo=False)
    assert gate.effect.text() == "Accepts 2 of 3 (67%), expected wrong 10.0%, certified ≤ 1.4%"
    gate.show_threshold(0.95, can_undo=False)
    assert "expected" not in gate.effect.text()
    gate.show_confidences(np.array([0.9, 0.8, 0.3]))
    gate.show_risk(None, is_calibrated=False)
    gate.show_threshold(0.8, can_undo=False)
    assert gate.effect.text() == "Accepts 2 of 3 (67%), not calibrated yet"
    gate.show_confidences(np.array([0.9, 0.8, 0.3]), kept=np.array([True, False, False]))
    assert gate.effect.text() == "Accepts 1 of 3 (33%), 1 more kept for you, not calibrated yet"


def test_accepted_mask_says_why_it_was_accepted() -> None:
    said = why_here(image_record(1, ImageState.ACCEPTED, confidence=0.9), 0.8)
    assert said.startswith("Confidence 0.90 is at or above")
