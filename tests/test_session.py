"""The session: what a person asks for, what is told, what ends up in the project."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from sessions import SIDE, FakeEngine, label, make_images, paint, start, train, until

from labeler.inference import LooksJob
from labeler.project import Project
from labeler.records import Counts, ImageState, LabelOrigin
from labeler.settings import Settings
from labeler.ui import haste
from labeler.ui.session import Session

Start = Callable[..., Session]


def champion(session: Session) -> int | None:
    assert session.project is not None
    found = session.project.champion()
    return None if found is None else found.version


def test_images_of_a_folder_arrive_and_the_first_is_shown(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    start(session, qtbot, tmp_path)
    assert session.columns.are(ImageState.POOL).all()
    assert session.editor is not None
    assert session.editor.mask.shape == (SIDE, SIDE)
    status = session.status()
    assert status is not None
    assert status.loop.counts.streamed == 6


def test_an_image_that_appears_later_is_found(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    start(session, qtbot, tmp_path, 2)
    make_images(tmp_path / "images", 1, first=50)
    until(qtbot, lambda: len(session.columns) == 3)


def test_open_images_keeps_the_project_out_of_the_image_folder(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    folder = make_images(tmp_path / "images", 2)
    before = sorted(tmp_path.rglob("images/*"))
    with qtbot.waitSignal(session.opened):
        session.open_images(folder)
    assert session.project is not None
    assert not session.project.folder.is_relative_to(folder)
    assert "projects" in session.project.folder.parts
    first = session.project.folder
    until(qtbot, lambda: session.editor is not None)
    with qtbot.waitSignal(session.opened):
        session.open_images(folder)
    assert session.project.folder == first
    assert sorted(tmp_path.rglob("images/*")) == before


def test_a_project_inside_the_image_folder_is_refused(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    folder = make_images(tmp_path / "images", 2)
    with qtbot.waitSignal(session.failed) as blocker:
        session.open_images(folder, folder / "project")
    assert blocker.args is not None
    assert "nothing is ever written" in blocker.args[1]
    assert not (folder / "project").exists()


def test_what_is_no_project_is_told_and_nothing_is_open(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    with qtbot.waitSignal(session.failed):
        session.open_project(tmp_path)
    assert session.project is None
    assert len(session.columns) == 0


def test_a_stroke_is_in_the_journal_before_the_next_one(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    start(session, qtbot, tmp_path)
    assert session.project is not None
    assert session.project.drafts() == []
    with qtbot.waitSignal(session.drafted) as blocker:
        paint(session)
    assert blocker.args == [session.current, True]
    assert session.project.drafts() == [session.current]


def test_a_draft_and_its_undo_survive_a_look_at_another_image(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    start(session, qtbot, tmp_path)
    first = session.current
    paint(session)
    paint(session, at=5)
    session.undo()
    assert session.editor is not None
    drawn = session.editor.mask.copy()
    session.show_next()
    until(qtbot, lambda: session.editor is not None)
    assert session.current != first
    assert not session.editor.mask.any()
    session.show_previous()
    until(qtbot, lambda: session.editor is not None)
    assert session.current == first
    assert np.array_equal(session.editor.mask, drawn)
    assert session.editor.can_redo
    session.undo()
    assert not session.editor.mask.any()


def test_the_image_shown_before_the_order_was_known_gives_way_to_the_first(
    session: Session, engine: FakeEngine, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, known = engine.look, threading.Event()

    def late(job: LooksJob) -> Iterator[list[object]]:
        while not known.wait(0.002):
            yield []
        yield from look(job)

    monkeypatch.setattr(engine, "look", late)
    start(session, qtbot, tmp_path, 20)
    shown = session.current
    known.set()
    until(qtbot, lambda: session.current != shown)
    until(qtbot, lambda: session.current == session.queue_ids()[0])
    session.show_next()
    chosen = session.current
    session.queue_changed.emit()
    assert session.current == chosen


def test_an_image_accepted_blank_is_told_and_one_drawn_on_is_not(
    session: Session, qtbot: QtBot, tmp_path: Path
) -> None:
    start(session, qtbot, tmp_path)
    told: list[str] = []
    session.message.connect(told.append)
    session.commit()
    until(qtbot, lambda: session.editor is not None)
    assert [text for text in told if "shows no object" in text]
    told.clear()
    assert session.editor is not None
    session.editor.begin_stroke(value=1, diameter=6)
    session.editor.extend_stroke([(20, 20)])
    session.commit()
    until(qtbot, lambda: session.editor is not None)
    assert not [text for text in told if "shows no object" in text]


def test_an_image_changed_in_mid_stroke_keeps_the_stroke(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    start(session, qtbot, tmp_path)
    first = session.current
    assert session.editor is not None
    session.editor.begin_stroke(value=1, diameter=6)
    session.editor.extend_stroke([(20, 20)])
    session.show_next()
    until(qtbot, lambda: session.editor is not None)
    session.show_previous()
    until(qtbot, lambda: session.editor is not None)
    assert session.current == first
    assert session.editor.mask.any()


def test_a_stroke_on_the_image_before_does_not_reach_this_one(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    start(session, qtbot, tmp_path)
    before = session.editor
    assert before is not None

    def end_late(*_: object) -> None:  # as a canvas does whose button is still down when the image changes
        patch = before.end_stroke()
        assert patch is not None
        session.keep_patch(patch)

    session.show_next()
    before.begin_stroke(value=1, diameter=6)
    before.extend_stroke([(20, 20)])
    session.image_loaded.connect(end_late)
    until(qtbot, lambda: session.editor is not None)
    assert session.project is not None
    assert session.project.drafts() == []


def test_a_draft_that_was_undone_is_none(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    start(session, qtbot, tmp_path)
    paint(session)
    with qtbot.waitSignal(session.drafted) as blocker:
        session.undo()
    assert blocker.args == [session.current, False]
    session.show_next()
    assert session.project is not None
    assert session.project.drafts() == []


def test_accept_saves_the_mask_drops_the_journal_and_goes_on(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    start(session, qtbot, tmp_path)
    first = session.current
    paint(session)
    assert session.editor is not None
    drawn = session.editor.mask.copy()
    with qtbot.waitSignal(session.committed) as blocker:
        session.commit()
    assert blocker.args == [first]
    assert session.project is not None
    assert np.array_equal(session.project.label_mask(first), drawn)
    assert session.project.drafts() == []
    until(qtbot, lambda: session.editor is not None)
    assert session.current != first


def test_an_accepted_image_can_be_opened_and_changed_again(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    start(session, qtbot, tmp_path, first_labels=100)
    first = label(session, qtbot, 1)[0]
    session.show_image(first)
    until(qtbot, lambda: session.editor is not None)
    assert session.editor is not None
    assert session.editor.mask.any()
    paint(session, at=5)
    session.commit()
    assert session.project is not None
    assert session.project.labels()[0].revision == 2


def test_next_walks_the_whole_queue_without_a_decision(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    start(session, qtbot, tmp_path, 4)
    seen = [session.current]
    for _ in range(3):
        session.show_next()
        seen.append(session.current)
    assert len(set(seen)) == 4
    session.show_next()
    assert session.current == seen[0]


def test_masks_of_a_model_that_are_accepted_in_haste_ask_for_another_look(
    session: Session, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(haste, "GLANCE_S", 60.0)
    project = train(session, qtbot, tmp_path, 20, retrain_labels=50)
    session.set_threshold(1.0)
    before, said = project.counts().labelled, []
    session.message.connect(said.append)

    for _ in range(haste.HASTY):
        until(qtbot, lambda: session.editor is not None and session.prediction() is not None)
        session.commit()

    assert project.counts().labelled == before + haste.HASTY - 1
    assert "faster than a glance" in said[-1]
    session.commit()
    assert project.counts().labelled == before + haste.HASTY, "who has looked again may accept"


def test_skip_and_exclude_go_on_and_restore_brings_back(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    start(session, qtbot, tmp_path, 3)
    first = session.current
    session.skip()
    second = session.current
    assert second != first
    session.exclude()
    assert session.record(first).skips == 1
    assert session.record(second).state is ImageState.EXCLUDED
    session.restore(second)
    assert session.record(second).state is ImageState.POOL


def test_the_last_image_of_the_queue_leaves_an_empty_desk(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    start(session, qtbot, tmp_path, 1)
    with qtbot.waitSignal(session.current_changed) as blocker:
        session.exclude()
    assert blocker.args == [-1]
    assert session.editor is None
    session.commit()
    session.undo()
    session.fill_holes()  # nothing to act on, and no error


def test_edits_at_once_are_journalled_and_shown(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    start(session, qtbot, tmp_path)
    with qtbot.waitSignal(session.mask_changed):
        session.invert()
    assert session.editor is not None
    assert session.editor.mask.all()
    assert session.project is not None
    assert session.project.drafts() == [session.current]
    session.undo()
    assert not session.editor.mask.any()


def test_cold_start_trains_by_itself_and_publishes(
    session: Session, engine: FakeEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    start(session, qtbot, tmp_path, 12, threshold=0.55)
    with qtbot.waitSignals([session.round_started, session.round_progressed, session.round_ended]):
        label(session, qtbot, 3)
    assert champion(session) == 1
    assert len(engine.rounds) == 1
    assert len(engine.rounds[0].core) == 2
    until(qtbot, lambda: session.project is not None and session.project.counts().pool == 0)
    counts = session.project.counts() if session.project else None
    assert counts is not None
    assert counts.accepted > 0
    assert counts.queued > 0


def test_an_untouched_mask_follows_the_prediction_that_arrives(
    session: Session, engine: FakeEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    start(session, qtbot, tmp_path, 8)
    engine.gate.clear()  # the round waits until the next image is open
    label(session, qtbot, 3)
    until(qtbot, lambda: session.editor is not None)
    assert session.editor is not None
    assert not session.editor.mask.any()
    with qtbot.waitSignal(session.prediction_changed, timeout=5000):
        engine.gate.set()
    assert session.editor.mask.any()
    assert session.prediction() is not None
    assert not session.editor.is_changed
    shown = session.current
    session.commit()
    assert session.record(shown).origin is LabelOrigin.LOOKED


def test_a_drafted_mask_stays_when_a_prediction_arrives(
    session: Session, engine: FakeEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    start(session, qtbot, tmp_path, 8)
    engine.gate.clear()
    label(session, qtbot, 3)
    until(qtbot, lambda: session.editor is not None)
    paint(session, at=30)
    assert session.editor is not None
    drawn = session.editor.mask.copy()
    with qtbot.waitSignal(session.prediction_changed, timeout=5000):
        engine.gate.set()
    assert np.array_equal(session.editor.mask, drawn)
    session.revert()
    prediction = session.prediction()
    assert prediction is not None
    assert np.array_equal(session.editor.mask, prediction)


def test_a_worse_challenger_is_not_published(
    session: Session, engine: FakeEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    start(session, qtbot, tmp_path, 12, threshold=1.0)
    with qtbot.waitSignal(session.round_ended):
        label(session, qtbot, 3)
    engine.holdout_iou = 0.3
    with qtbot.waitSignal(session.round_ended) as blocker:
        label(session, qtbot, 3)
    assert blocker.args is not None
    assert not blocker.args[0].published
    assert champion(session) == 1


def test_a_round_that_fails_is_told_and_the_champion_stays(
    session: Session, engine: FakeEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    start(session, qtbot, tmp_path, 12, threshold=1.0)
    with qtbot.waitSignal(session.round_ended):
        label(session, qtbot, 3)
    engine.train_error = MemoryError("no memory for it")
    with qtbot.waitSignals([session.round_ended, session.failed, session.crashed]):
        label(session, qtbot, 3)
    assert champion(session) == 1
    assert session.project is not None
    assert "no memory" in session.project.rounds()[-1].reason
    engine.train_error = None
    with qtbot.waitSignal(session.round_ended) as blocker:
        session.start_round()
    assert blocker.args is not None
    assert blocker.args[0].version == 2


def test_a_round_without_labels_is_refused_in_words(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    start(session, qtbot, tmp_path, 2)
    with qtbot.waitSignal(session.failed) as blocker:
        session.start_round()
    assert blocker.args is not None
    assert "Label an image first" in blocker.args[1]


def test_a_round_can_be_paused_and_stopped(session: Session, engine: FakeEngine, qtbot: QtBot, tmp_path: Path) -> None:
    start(session, qtbot, tmp_path, 8)
    engine.gate.clear()
    with qtbot.waitSignal(session.round_progressed):
        label(session, qtbot, 3)
    session.pause_round(True)
    status = session.status()
    assert status is not None
    assert status.is_training
    assert status.is_paused
    assert "paused" in status.round
    with qtbot.waitSignal(session.round_ended) as blocker:
        session.stop_round()
    assert blocker.args is not None
    assert "stopped" in blocker.args[0]
    assert engine.closed == ["closed"]
    assert champion(session) is None
    engine.gate.set()
    qtbot.wait(50)
    assert len(engine.rounds) == 1  # it does not begin again by itself before a new label


def test_rounds_wait_for_the_person_where_that_is_set(
    session: Session, engine: FakeEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    start(session, qtbot, tmp_path, 8, retrain_automatically=False)
    label(session, qtbot, 4)
    qtbot.wait(50)
    assert engine.rounds == []
    with qtbot.waitSignal(session.round_ended):
        session.start_round()
    assert champion(session) == 1


def test_threshold_regates_at_once_and_can_be_undone(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    start(session, qtbot, tmp_path, 12, threshold=1.0)
    with qtbot.waitSignal(session.round_ended):
        label(session, qtbot, 3)
    assert session.project is not None
    project = session.project
    until(qtbot, lambda: project.counts().pool == 0)
    assert project.counts().accepted == 0
    with qtbot.waitSignal(session.queue_changed):
        session.set_threshold(0.35)
    assert project.counts().accepted > 0
    assert session.can_undo_threshold
    session.undo()
    assert project.settings.threshold == 1.0
    assert project.counts().accepted == 0
    assert not session.can_undo_threshold


def test_undo_means_the_stroke_when_one_came_after_the_threshold(
    session: Session, qtbot: QtBot, tmp_path: Path
) -> None:
    start(session, qtbot, tmp_path)
    session.set_threshold(0.5)
    paint(session)
    session.undo()
    assert session.editor is not None
    assert not session.editor.mask.any()
    assert session.project is not None
    assert session.project.settings.threshold == 0.5
    session.undo_threshold()
    assert session.project.settings.threshold == Settings().threshold


def test_a_drag_of_the_threshold_is_one_step_back(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    start(session, qtbot, tmp_path)
    for threshold in (0.7, 0.6, 0.5):
        session.set_threshold(threshold)
    session.undo()
    assert session.project is not None
    assert session.project.settings.threshold == Settings().threshold


def test_rollback_predicts_again_with_the_older_model(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    start(session, qtbot, tmp_path, 12, threshold=1.0)
    for _ in range(2):
        with qtbot.waitSignal(session.round_ended):
            label(session, qtbot, 3)
    assert champion(session) == 2
    session.rollback(1)
    assert champion(session) == 1
    until(
        qtbot,
        lambda: (session.columns.column("version")[session.columns.are(ImageState.POOL, ImageState.QUEUED)] == 1).all(),
    )


def test_export_is_driven_between_events(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    start(session, qtbot, tmp_path, 5, first_labels=100)
    label(session, qtbot, 2)
    with qtbot.waitSignal(session.exported, timeout=10000):
        session.export(tmp_path / "out", "png")
    assert len(list((tmp_path / "out").rglob("*.png"))) == 2


def test_an_export_that_cannot_be_is_told(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    start(session, qtbot, tmp_path, 2)
    with qtbot.waitSignal(session.failed) as blocker:
        session.export(tmp_path / "images" / "out", "png")
    assert blocker.args is not None
    assert blocker.args[0] == "Nothing was exported"


def test_thumbnails_are_made_once(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    start(session, qtbot, tmp_path, 2)
    with qtbot.waitSignal(session.thumbnail_ready) as blocker:
        session.request_thumbnail(session.current)
    assert blocker.args is not None
    with qtbot.waitSignal(session.thumbnail_ready) as again:
        session.request_thumbnail(session.current)
    assert again.args is not None
    assert again.args[1] is blocker.args[1]


def test_survey_reads_and_writes_nothing(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    folder = make_images(tmp_path / "images", 3)
    (folder / "broken.png").write_text("no picture")
    with qtbot.waitSignal(session.surveyed, check_params_cb=lambda summary: summary.done) as blocker:
        session.survey(folder)
    assert blocker.args is not None
    assert blocker.args[0].images == 4
    assert len(blocker.args[0].unreadable) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_reopening_goes_on_where_it_stopped(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    project = start(session, qtbot, tmp_path, 5, first_labels=100)
    label(session, qtbot, 1)
    until(qtbot, lambda: session.editor is not None)
    paint(session)
    drafted = session.current
    assert session.editor is not None
    drawn = session.editor.mask.copy()
    with qtbot.waitSignal(session.closed):
        session.close_project()
    with qtbot.waitSignal(session.message):
        session.open_project(project)
    until(qtbot, lambda: session.editor is not None)
    assert session.current == drafted
    assert np.array_equal(session.editor.mask, drawn)
    assert session.project is not None
    assert session.project.counts().labelled == 1
    assert session.project.counts().streamed == 5


def test_closing_in_mid_round_ends_it_and_frees_the_project(
    session: Session, engine: FakeEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    project = start(session, qtbot, tmp_path, 8)
    engine.gate.clear()
    with qtbot.waitSignal(session.round_progressed):
        label(session, qtbot, 3)
    session.close_project()
    assert engine.closed == ["closed"]
    with Project.open(project) as again:
        assert again.champion() is None
        assert "closed" in again.rounds()[-1].reason
    engine.gate.set()
    with qtbot.waitSignal(session.round_ended, timeout=10_000) as blocker:  # by itself: nobody had stopped it
        session.open_project(project)
    assert blocker.args is not None
    assert blocker.args[0].published


def test_the_sample_opens_at_the_payoff(qtbot: QtBot) -> None:
    session = Session()  # the real engine, and the shipped net
    session.open_sample()

    def is_predicted() -> bool:
        counts = session.project.counts() if session.project is not None else Counts()
        return counts.streamed == 240 and counts.pool == 0

    qtbot.waitUntil(is_predicted, timeout=90_000)
    assert session.project is not None
    counts = session.project.counts()
    assert counts.unreadable == 0
    assert 5 <= counts.queued <= 70
    assert counts.accepted + counts.queued == 240
    until(qtbot, lambda: session.editor is not None)
    assert session.editor is not None
    assert session.editor.mask.any()
    assert session.prediction() is not None
    assert session.shut_down()


def test_map_of_doubt_is_made_when_it_is_wanted_and_dropped_with_its_image(
    session: Session, engine: FakeEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    train(session, qtbot, tmp_path)
    assert not engine.heats
    engine.views.clear()
    session.want_doubt(True)
    until(qtbot, lambda: engine.heats == [1])
    assert session.doubt() is None
    with qtbot.waitSignal(session.doubt_changed):
        engine.views.set()
    heat, editor = session.doubt(), session.editor
    assert heat is not None
    assert editor is not None
    assert heat.shape == editor.mask.shape

    session.show_next()
    assert session.doubt() is None
    until(qtbot, lambda: session.doubt() is not None)

    session.want_doubt(False)
    session.show_next()
    until(qtbot, lambda: session.editor not in (None, editor) and not session.doubt())
    assert engine.heats == [1, 1]


def test_map_of_doubt_follows_the_model_in_use(
    session: Session, engine: FakeEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    train(session, qtbot, tmp_path)
    session.want_doubt(True)
    until(qtbot, lambda: session.doubt() is not None)
    shown = session.current
    engine.views.clear()
    session.start_round()
    until(qtbot, lambda: champion(session) == 2 and engine.heats == [1, 2])
    assert session.current == shown
    assert session.doubt() is None
    engine.views.set()
    until(qtbot, lambda: (heat := session.doubt()) is not None and int(heat.max()) == 2)


def test_map_of_doubt_that_fails_is_told_and_stops_nothing(
    session: Session, engine: FakeEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    train(session, qtbot, tmp_path)
    engine.predict_errors[1] = OSError("the disk is gone")
    with qtbot.waitSignal(session.failed) as told:
        session.want_doubt(True)
    assert told.args[0] == "The map of doubt could not be made"
    assert session.doubt() is None
    assert session.editor is not None


def test_labels_belong_to_the_round_they_were_new_in(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    start(session, qtbot, tmp_path)
    first = set(label(session, qtbot, 3))
    until(qtbot, lambda: champion(session) == 1)
    project = session.project
    assert project is not None
    second = set(label(session, qtbot, 2))
    until(qtbot, lambda: len(project.rounds()) == 2)
    assert session.new_in_round(1) == first
    assert session.new_in_round(2) == second
