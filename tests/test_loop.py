"""The loop, step by step, without Qt and without threads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from labeler import checkpoint, files, images, masks, ships
from labeler.checkpoint import Checkpoint
from labeler.errors import CheckpointError, ProjectError, TrainingError
from labeler.inference import FailedImage, predict_files
from labeler.loop import Loop
from labeler.networks import NetworkConfig, ResidualUNet
from labeler.project import Project
from labeler.records import ROUND_CLOSED, ImageState, LabelOrigin, PredictionRecord, Split, VersionStatus
from labeler.settings import Settings
from labeler.ships import ShipsConfig
from labeler.stream import parse_source, scan
from labeler.training import RoundResult, TrainingJob
from labeler.verdict import not_worse

SMALL = ShipsConfig(size=32, margin=10, radii=(4.0, 7.0), sides=(4.0, 8.0))
COUNT = 16


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    folder = tmp_path / "images"
    folder.mkdir()
    for index, (image, _) in enumerate(ships.pairs(COUNT, seed=1, config=SMALL)):
        (folder / f"{index}.png").write_bytes(images.encode(ships.as_uint8(image)))
    settings = Settings(first_labels=4, holdout_every=3, base_width=2, long_steps=0, device="cpu", probe_share=0.0)
    with Project.create(tmp_path / "project", settings=settings) as project:
        project.add(list(scan(parse_source(str(folder)))))
        yield Loop(project)


def _label(loop: Loop, count: int) -> list[int]:
    done = []
    for _ in range(count):
        image_id = loop.next_query()
        assert image_id is not None
        record = loop.project.image(image_id)
        mask = np.zeros((record.height, record.width), np.uint8)
        mask[8:20, 8:20] = 1
        loop.commit(image_id, mask)
        done.append(image_id)
    return done


def _label_unasked(loop: Loop, count: int) -> None:
    for record in loop.project.images(state=ImageState.POOL)[:count]:
        loop.commit(record.image_id, np.ones((record.height, record.width), np.uint8))


def _result(job: TrainingJob, ours: float = 0.8, theirs: float | None = None, *, width: int = 2) -> RoundResult:
    torch.manual_seed(job.version)
    digest = checkpoint.save(job.output, Checkpoint.of(ResidualUNet(NetworkConfig(base_width=width))))
    count = len(job.holdout)
    return RoundResult(
        path=job.output,
        sha256=digest,
        core_iou=0.9,
        core_count=len(job.core),
        judged=tuple(sample.mask_path for sample in job.holdout),
        challenger_ious=(ours,) * count,
        champion_ious=None if theirs is None else (theirs,) * count,
        steps=10,
        seconds=1.0,
    )


def _publish(loop: Loop) -> int:
    job = loop.freeze_round()
    loop.finish_round(job, _result(job))
    return job.version


def _record(loop: Loop, image_id: int, confidence: float, *, empty: bool = False) -> None:
    champion = loop.project.champion()
    assert champion is not None
    mask_path, probability_path = files.prediction_paths(loop.project.predictions_folder, image_id, champion.version)
    mask_path.parent.mkdir(exist_ok=True)
    mask = np.zeros((32, 32), np.uint8)
    mask[4:9, 4:9] = not empty
    digest = masks.save(mask_path, mask)
    masks.save(probability_path, mask * np.uint8(255))
    loop.record([PredictionRecord(image_id, champion.version, confidence, confidence, 1.0, float(mask.mean()), digest)])


def test_cold_start_asks_for_the_first_labels_then_trains(loop: Loop) -> None:
    assert loop.prediction_job() is None
    assert loop.labels_until_round == 4
    assert not loop.round_due()
    assert loop.why_no_round()
    with pytest.raises(TrainingError, match="at least one label"):
        loop.freeze_round()
    _label(loop, 3)
    assert loop.labels_until_round == 1
    assert not loop.round_due()
    _label(loop, 1)
    assert loop.round_due()
    job = loop.freeze_round()
    assert len(job.core) == 3
    assert len(job.holdout) == 1
    assert job.champion is None
    assert not loop.round_due()


def test_every_third_label_here_goes_to_the_holdout_and_stays_there(loop: Loop) -> None:
    labelled = _label(loop, 6)
    splits = [loop.project.image(image_id).split for image_id in labelled]
    assert splits == [Split.CORE, Split.CORE, Split.HOLDOUT] * 2
    loop.commit(labelled[2], np.ones((32, 32), np.uint8))
    assert loop.project.image(labelled[2]).split is Split.HOLDOUT


def test_round_that_ended_with_the_program_is_owed_until_it_was_tried_twice(loop: Loop) -> None:
    _label(loop, 4)
    job = loop.freeze_round()
    assert not loop.round_due()  # it runs
    closed = Loop(loop.project)
    assert closed.round_due()  # killed
    closed.fail_round(closed.freeze_round(), ROUND_CLOSED)
    again = Loop(loop.project)
    assert again.round_due()
    again.freeze_round()
    thrice = Loop(loop.project)
    assert not thrice.round_due()  # killed twice
    assert thrice.new_labels == 0
    thrice.fail_round(job, "stopped")
    assert not Loop(loop.project).round_due()  # somebody wanted it so


def test_label_of_an_accepted_image_never_judges(loop: Loop) -> None:
    labelled = _label(loop, 2)
    waiting = [record.image_id for record in loop.project.images() if record.image_id not in labelled]
    loop.project.set_state(waiting[0], ImageState.ACCEPTED)
    loop.commit(waiting[0], np.ones((32, 32), np.uint8))  # the third
    assert loop.project.image(waiting[0]).split is Split.CORE
    _label(loop, 3)
    assert loop.project.counts().holdout == 1  # the sixth


def test_first_round_is_published_and_everything_waits_for_its_prediction(loop: Loop) -> None:
    _label(loop, 4)
    version = _publish(loop)
    champion = loop.project.champion()
    assert champion is not None
    assert champion.version == version == 1
    job = loop.prediction_job()
    assert job is not None
    assert len(job.items) == COUNT - 4 + 3  # and the core, which the order of the queue compares with
    assert job.version == 1


def test_real_predictions_are_gated(loop: Loop) -> None:
    _label(loop, 4)
    _publish(loop)
    while (job := loop.prediction_job(limit=5)) is not None:
        for results in predict_files(job):
            loop.record(results)
    counts = loop.project.counts()
    assert counts.pool == 0
    assert counts.accepted + counts.queued == COUNT - 4
    for record in loop.project.images():
        if record.confidence is not None and record.state is not ImageState.LABELLED:
            assert (record.confidence >= loop.project.settings.threshold) == (record.state is ImageState.ACCEPTED)


def test_confident_images_are_accepted_and_the_least_confident_is_asked_first(loop: Loop) -> None:
    _label(loop, 4)
    _publish(loop)
    ids = [record.image_id for record in loop.project.images(state=ImageState.POOL)]
    for image_id, confidence in zip(ids, (0.7, 0.95, 0.3), strict=False):
        _record(loop, image_id, confidence)
    assert loop.project.image(ids[1]).state is ImageState.ACCEPTED
    assert [record.image_id for record in loop.queue()] == [ids[2], ids[0]]
    assert loop.next_query() == ids[2]
    loop.skip(ids[2])
    assert loop.next_query() == ids[0]


def test_threshold_gates_again_and_back(loop: Loop) -> None:
    _label(loop, 4)
    _publish(loop)
    ids = [record.image_id for record in loop.project.images(state=ImageState.POOL)]
    for image_id, confidence in zip(ids, (0.7, 0.95, 0.3), strict=False):
        _record(loop, image_id, confidence)
    before = {record.image_id: record.state for record in loop.project.images()}
    assert loop.set_threshold(0.5) == (1, 0)
    assert loop.project.image(ids[0]).state is ImageState.ACCEPTED
    loop.set_threshold(0.8075)
    assert {record.image_id: record.state for record in loop.project.images()} == before


def test_image_in_hand_is_never_accepted_behind_the_person_s_back(loop: Loop) -> None:
    _label(loop, 4)
    _publish(loop)
    image_id = loop.project.images(state=ImageState.POOL)[0].image_id
    loop.in_hand = image_id
    _record(loop, image_id, 0.99)
    assert loop.project.image(image_id).state is ImageState.QUEUED


def test_empty_prediction_waits_until_somebody_has_labelled_an_empty_image(loop: Loop) -> None:
    _label(loop, 4)
    _publish(loop)
    first, second, third = (record.image_id for record in loop.project.images(state=ImageState.POOL)[:3])
    _record(loop, first, 0.99, empty=True)
    assert loop.project.image(first).state is ImageState.QUEUED
    assert loop.set_threshold(0.5) == (0, 0)
    loop.commit(second, np.zeros((32, 32), np.uint8))
    _record(loop, third, 0.99, empty=True)
    assert loop.project.image(third).state is ImageState.ACCEPTED


def test_commit_tells_a_look_from_a_correction(loop: Loop) -> None:
    _label(loop, 4)
    _publish(loop)
    first, second = (record.image_id for record in loop.project.images(state=ImageState.POOL)[:2])
    for image_id in (first, second):
        _record(loop, image_id, 0.4)
    assert loop.commit(first, loop.opening_mask(first)).origin is LabelOrigin.LOOKED
    corrected = loop.opening_mask(second).copy()
    corrected[20:25, 20:25] = 1
    label = loop.commit(second, corrected)
    assert label.origin is LabelOrigin.CORRECTED
    assert label.iou == pytest.approx(0.5)
    assert label.confidence == pytest.approx(0.4)
    assert np.array_equal(loop.opening_mask(second), corrected)


def test_round_is_due_after_enough_new_labels_or_when_the_queue_is_empty(loop: Loop) -> None:
    _label(loop, 4)
    _publish(loop)
    ids = [record.image_id for record in loop.project.images(state=ImageState.POOL)]
    for image_id in ids:
        _record(loop, image_id, 0.4)
    assert loop.labels_until_round == 4
    _label(loop, 3)
    assert not loop.round_due()
    loop.set_threshold(0.1)
    assert loop.project.counts().queued == 0
    assert loop.round_due()
    job = loop.freeze_round()
    assert sum(sample.fresh for sample in job.core) == loop.project.counts().core - 3
    assert not loop.round_due()


def test_failed_round_keeps_the_champion_and_does_not_start_again_by_itself(loop: Loop) -> None:
    _label(loop, 4)
    loop.fail_round(loop.freeze_round(), "stopped")
    assert loop.project.champion() is None
    assert not loop.round_due()
    assert loop.project.rounds()[-1].reason == "stopped"


def _second_round(loop: Loop) -> TrainingJob:
    """A round with new labels beside a champion that everything waits for."""
    _label(loop, 4)
    _publish(loop)
    for record in loop.project.images(state=ImageState.POOL):
        _record(loop, record.image_id, 0.4)
    _label(loop, 4)
    return loop.freeze_round()


def test_worse_challenger_is_kept_but_not_published(loop: Loop) -> None:
    job = _second_round(loop)
    outcome = loop.finish_round(job, _result(job, ours=0.5, theirs=0.9))
    assert not outcome.published
    assert "not published" in outcome.sentence
    holdout = [label.image_id for label in loop.project.labels(split=Split.HOLDOUT)]
    assert outcome.duels == tuple((image_id, 0.9, 0.5) for image_id in holdout), "each image with both IoUs"
    champion = loop.project.champion()
    assert champion is not None
    assert champion.version == 1
    known = sum(not sample.fresh for sample in loop.freeze_round().core)
    assert known == 3  # what the rejected round saw is still new to the champion
    assert [version.status for version in loop.project.versions()] == [VersionStatus.CHAMPION, VersionStatus.REJECTED]
    loop.rollback(2)
    champion = loop.project.champion()
    assert champion is not None
    assert champion.version == 2


def test_rollback_to_a_damaged_or_unknown_version_is_refused(loop: Loop) -> None:
    _label(loop, 4)
    _publish(loop)
    with pytest.raises(ProjectError, match="no model version 9"):
        loop.rollback(9)
    version = loop.project.versions()[0]
    version.path.write_bytes(version.path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="damaged"):
        loop.rollback(1)


@pytest.mark.parametrize(
    ("challenger", "champion", "published"),
    [
        ((0.8, 0.9), None, True),
        ((0.8,), (0.84,), True),  # one pair says little
        ((0.5,), (0.9,), False),
        ((0.8,) * 20, (0.81, 0.79) * 10, True),
        ((0.8,) * 20, (0.83, 0.81) * 10, False),
        ((float("nan"), 0.9), (0.1, 0.1), False),
        ((float("nan"),), None, False),
        ((), (), True),
    ],
)
def test_challenger_is_published_unless_the_holdout_speaks_against_it(
    challenger: tuple[float, ...], champion: tuple[float, ...] | None, published: bool
) -> None:
    assert not_worse(challenger, champion) is published


@pytest.mark.parametrize(
    ("challenger", "champion", "published"),
    [
        ((0.98,) * 9 + (0.65,), (0.97,) * 10, False),  # one image lost: a standard error of 0.033 would excuse it
        ((0.98,) * 9 + (0.65,), (0.94,) * 10, True),  # the others are better for it
        ((0.98,) * 8 + (0.65, 0.82), (0.97,) * 9 + (0.8,), True),  # one lost, one won
    ],
)
def test_challenger_that_is_newly_wrong_somewhere_must_be_better_on_the_whole(
    challenger: tuple[float, ...], champion: tuple[float, ...], published: bool
) -> None:
    assert not_worse(challenger, champion)
    assert not_worse(challenger, champion, right_from=0.8075) is published


@pytest.mark.parametrize(
    ("recalled", "published"),
    [
        (((0.973, 0.978),) * 7, True),  # learnt by heart a little less: it had more to learn
        (((0.96, 0.978),) * 7, False),
        (((0.79, 0.81),) + ((0.978, 0.978),) * 6, False),  # one is newly wrong
    ],
)
def test_challenger_may_know_the_old_core_a_little_less_by_heart(
    loop: Loop, recalled: tuple[tuple[float, float], ...], published: bool
) -> None:
    job = _second_round(loop)
    result = replace(_result(job, ours=0.97, theirs=0.97), recalled=recalled)
    assert loop.finish_round(job, result).published is published


def test_image_that_can_no_longer_be_read_is_set_apart(loop: Loop) -> None:
    _label(loop, 4)
    _publish(loop)
    image_id = loop.project.images(state=ImageState.POOL)[0].image_id
    loop.record([FailedImage(image_id, "5.png: changed on disk")])
    record = loop.project.image(image_id)
    assert record.state is ImageState.UNREADABLE
    assert "changed on disk" in record.reason


def test_excluded_images_come_back_as_what_they_were(loop: Loop) -> None:
    labelled, fresh = _label(loop, 1)[0], loop.project.images(state=ImageState.POOL)[0].image_id
    for image_id in (labelled, fresh):
        loop.exclude(image_id, "blurred")
        assert loop.project.image(image_id).state is ImageState.EXCLUDED
        loop.restore(image_id)
    assert loop.project.image(labelled).state is ImageState.LABELLED
    assert loop.project.image(fresh).state is ImageState.POOL


def test_model_file_can_be_adopted(loop: Loop, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    checkpoint.save(path, Checkpoint.of(ResidualUNet(NetworkConfig(base_width=2))))
    version = loop.adopt_model(path)
    assert version.status is VersionStatus.CHAMPION
    assert loop.prediction_job() is not None
    wrong = tmp_path / "wrong.safetensors"
    checkpoint.save(wrong, Checkpoint.of(ResidualUNet(NetworkConfig(base_width=2, classes=3))))
    with pytest.raises(CheckpointError, match="made for 3 classes, the project has 1; choose another model"):
        loop.adopt_model(wrong)


def test_status_tells_the_figures_of_the_strip(loop: Loop) -> None:
    _label(loop, 4)
    _publish(loop)
    status = loop.status()
    assert status.counts.streamed == COUNT
    assert (status.counts.core, status.counts.holdout) == (3, 1)
    assert status.champion == 1
    assert status.holdout_iou == pytest.approx(0.8)
    assert status.new_labels == 0


def test_core_that_has_doubled_is_learnt_anew(loop: Loop) -> None:
    loop.project.save_settings(
        loop.project.settings.model_copy(update={"long_steps": 50, "retrain_labels": 1, "first_labels": 3})
    )
    _label(loop, 4)
    _publish(loop)
    assert loop.project.counts().core == 3
    assert loop.round_due()  # the first model was made in haste
    job = loop.freeze_round()
    assert job.long
    assert job.from_scratch
    assert job.steps(warm=False) == 50
    loop.finish_round(job, _result(job))
    assert not loop.round_due()
    _label_unasked(loop, 2)
    assert loop.project.counts().core == 4
    assert not loop.long_round_due()
    _label_unasked(loop, 3)
    assert loop.project.counts().core == 6
    assert loop.long_round_due()


def test_long_round_is_made_where_hardly_anything_waits_and_the_core_has_grown(loop: Loop) -> None:
    loop.project.save_settings(loop.project.settings.model_copy(update={"long_steps": 50, "retrain_labels": 1}))
    _label(loop, 8)
    _publish(loop)
    job = loop.freeze_round()
    assert job.long
    loop.finish_round(job, _result(job))
    for record in loop.project.images(state=ImageState.POOL)[4:]:
        loop.exclude(record.image_id)
    _label_unasked(loop, 3)
    assert loop.project.counts().core == 8  # of 6
    assert loop.project.counts().pool == 1
    assert not loop.long_round_due()
    loop.project.save_settings(loop.project.settings.model_copy(update={"retrain_labels": 2}))
    assert loop.long_round_due()  # one that waits does not make a round
    loop.project.save_settings(loop.project.settings.model_copy(update={"retrain_labels": 1}))
    _record(loop, loop.project.images(state=ImageState.POOL)[0].image_id, 0.99)
    assert loop.project.counts().accepted == 1
    assert loop.long_round_due()
    job = loop.freeze_round()
    loop.finish_round(job, _result(job))
    assert not loop.long_round_due()


def test_what_the_long_round_made_of_the_stream_is_learnt_once_nothing_waits(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labeler.loop.FEWEST_ACCEPTED", 5)
    loop.project.save_settings(loop.project.settings.model_copy(update={"long_steps": 50, "retrain_labels": 2}))
    _label(loop, 4)
    _publish(loop)
    waiting = [record.image_id for record in loop.project.images(state=ImageState.POOL)]
    _record(loop, waiting[0], 0.99)  # by a model that was made in haste
    job = loop.freeze_round()
    assert (job.long, job.from_scratch, job.accepted) == (True, True, ())
    loop.finish_round(job, _result(job))
    for image_id in waiting[1:6]:
        _record(loop, image_id, 0.99)
    assert loop.project.counts().accepted == 6
    assert not loop.round_due()  # six others wait
    for image_id in waiting[6:]:
        loop.exclude(image_id)
    assert loop.new_labels == 0
    assert not loop.round_due()  # the champion has not seen what the first model accepted
    _record(loop, waiting[0], 0.99)
    assert loop.round_due()
    job = loop.freeze_round()
    assert (job.long, job.from_scratch, job.champion is not None) == (True, False, True)
    assert {sample.image_path for sample in job.accepted} == {loop.project.image(at).path for at in waiting[:6]}
    assert all(files.sha256_of_file(sample.mask_path) == sample.mask_sha256 for sample in job.accepted)
    assert not {sample.image_sha256 for sample in job.accepted} & {s.image_sha256 for s in (*job.core, *job.holdout)}
    loop.finish_round(job, replace(_result(job), accepted_count=6))
    assert loop.project.versions()[-1].metrics["accepted"] == 6
    for turn in range(2):  # once more with what that model makes of them, and no further
        assert not loop.round_due()
        for image_id in waiting[:6]:
            _record(loop, image_id, 0.99)
        assert loop.round_due() is (turn == 0)
        job = loop.freeze_round()
        assert job.long is (turn == 0)
        loop.finish_round(job, _result(job))


@pytest.mark.parametrize(("fewest", "confidence", "due"), [(50, 0.99, False), (5, 0.85, False), (5, 0.99, True)])
def test_few_or_doubtful_accepted_masks_are_not_worth_a_round(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, fewest: int, confidence: float, due: bool
) -> None:
    monkeypatch.setattr("labeler.loop.FEWEST_ACCEPTED", fewest)
    loop.project.save_settings(loop.project.settings.model_copy(update={"long_steps": 50, "retrain_labels": 2}))
    _label(loop, 4)
    _publish(loop)
    job = loop.freeze_round()
    loop.finish_round(job, _result(job))
    for record in loop.project.images(state=ImageState.POOL):
        _record(loop, record.image_id, confidence)
    assert loop.project.counts().accepted == 12
    assert loop.round_due() is due
    loop.project.save_settings(loop.project.settings.model_copy(update={"learn_accepted": False}))
    assert not loop.round_due()


def test_accepted_masks_that_no_long_round_bears_out_are_not_learnt(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labeler.loop.FEWEST_ACCEPTED", 5)
    loop.project.save_settings(loop.project.settings.model_copy(update={"long_steps": 50, "retrain_labels": 2}))
    _label(loop, 4)
    _publish(loop)
    waiting = [record.image_id for record in loop.project.images(state=ImageState.POOL)]
    for image_id in waiting[:2]:
        _record(loop, image_id, 0.99)  # by a model that was made in haste
    job = loop.freeze_round()
    loop.finish_round(job, _result(job))
    for image_id in waiting[2:6]:
        _record(loop, image_id, 0.99)
    _label_unasked(loop, 1)
    for record in loop.project.images(state=ImageState.POOL):
        loop.exclude(record.image_id)
    assert loop.project.counts().accepted == 6
    job = loop.freeze_round()
    assert (job.long, job.from_scratch, job.accepted) == (True, True, ())  # four are few


def test_no_round_is_due_once_the_core_is_gone(loop: Loop) -> None:
    loop.project.save_settings(loop.project.settings.model_copy(update={"long_steps": 50}))
    labelled = _label(loop, 4)
    _publish(loop)
    for image_id in labelled:
        loop.exclude(image_id)
    for record in loop.project.images(state=ImageState.POOL):
        loop.exclude(record.image_id)
    assert loop.project.counts().core == 0
    assert not loop.round_due()


def test_long_round_that_failed_is_due_again(loop: Loop) -> None:
    loop.project.save_settings(loop.project.settings.model_copy(update={"long_steps": 50, "first_labels": 3}))
    _label(loop, 4)
    _publish(loop)
    _label_unasked(loop, 3)
    loop.fail_round(loop.freeze_round(), "stopped")
    assert loop.long_round_due()


def test_adopted_model_is_not_thrown_away_for_a_few_labels(loop: Loop, tmp_path: Path) -> None:
    loop.project.save_settings(loop.project.settings.model_copy(update={"long_steps": 50}))
    path = tmp_path / "given.safetensors"
    checkpoint.save(path, Checkpoint.of(ResidualUNet(NetworkConfig(base_width=2))))
    loop.adopt_model(path)
    _label_unasked(loop, 6)
    assert not loop.long_round_due()


def test_small_holdout_does_not_publish_what_has_forgotten_the_core(loop: Loop) -> None:
    _label(loop, 4)
    first = _publish(loop)
    _label_unasked(loop, 2)
    job = loop.freeze_round()
    forgot = replace(_result(job, 0.82, 0.8), recalled=((0.6, 0.9), (0.7, 0.9), (0.65, 0.95), (0.5, 0.9)))
    assert not loop.finish_round(job, forgot).published
    assert loop.project.champion() is not None
    assert loop.project.champion().version == first
    job = loop.freeze_round()
    kept = replace(_result(job, 0.82, 0.8), recalled=((0.9, 0.9), (0.91, 0.9), (0.94, 0.95), (0.9, 0.9)))
    assert loop.finish_round(job, kept).published
