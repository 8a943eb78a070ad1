"""A simulated person works a small project to its end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labeler import masks
from labeler.driving import drain
from labeler.errors import MaskError
from labeler.headless import take_up
from labeler.loop import Loop
from labeler.metrics import mean_iou
from labeler.oracle import ReferenceOracle
from labeler.project import Project
from labeler.records import ImageState, Progress, Split
from labeler.settings import Settings
from labeler.ships import ShipsConfig
from labeler.studies.samples import write_pairs
from labeler.studies.simulation import SimulationResult, simulate
from labeler.studies.walking import SimulatedRound

SMALL = ShipsConfig(size=32, margin=10, radii=(5.0, 8.0), sides=(4.0, 8.0))
QUICK = Settings(
    base_width=4,
    patch=32,
    batch=4,
    shift=2,
    steps=15,
    first_steps=40,
    long_steps=0,
    first_labels=4,
    device="cpu",
    probe_share=0.0,
)


def _run(
    folder: Path, count: int, settings: Settings = QUICK, **budget: float
) -> tuple[SimulationResult, list[SimulatedRound], Project]:
    for _ in write_pairs(folder / "set", count, seed=1, choice=lambda _: SMALL):
        pass
    project = Project.create(folder / "project", settings=settings)
    for _ in take_up(project, [str(folder / "set" / "images")]):
        pass
    told: list[Progress | SimulatedRound] = []
    result = drain(simulate(project, ReferenceOracle(folder / "set" / "masks"), **budget), told.append)
    return result, [item for item in told if isinstance(item, SimulatedRound)], project


def test_simulation_ends_with_every_image_decided_and_true_figures(tmp_path: Path) -> None:
    result, lines, project = _run(tmp_path, 14)
    with project:
        counts = project.counts()
        assert counts.queued == counts.pool == 0
        assert result.streamed == 14 == result.accepted + result.labelled
        assert (result.accepted, result.core, result.holdout) == (counts.accepted, counts.core, counts.holdout)
        assert result.rounds == len(project.rounds()) == len(lines) >= 1
        champion = project.champion()
        assert champion is not None
        ious = []
        for record in project.images(state=ImageState.ACCEPTED):
            assert record.model_version == champion.version
            prediction = project.prediction(record.image_id)
            assert prediction is not None
            reference = masks.load_reference(tmp_path / "set" / "masks" / record.path.name, classes=1)
            ious.append(mean_iou(prediction[0], reference))
        assert result.judged == len(ious)
        if ious:
            assert result.mean_accepted_iou == pytest.approx(np.mean(ious))
            assert result.low == sum(iou < 0.8075 for iou in ious)
        for label in project.labels(split=Split.CORE):
            name = project.image(label.image_id).path.name
            reference = masks.load_reference(tmp_path / "set" / "masks" / name, classes=1)
            assert np.array_equal(project.label_mask(label.image_id), reference)


def test_budget_of_labels_ends_a_simulation(tmp_path: Path) -> None:
    result, lines, project = _run(tmp_path, 14, labels=4)
    project.close()
    assert len(lines) == 1
    assert "labels were made" in result.ended


def test_long_round_that_is_due_follows_the_last_label_of_a_budget(tmp_path: Path) -> None:
    long = QUICK.model_copy(update={"long_steps": 20, "threshold": 1.0})
    result, lines, project = _run(tmp_path, 14, long, labels=4)
    with project:
        assert [version.metrics["long"] for version in project.versions()] == [False, True]
    assert len(lines) == 2
    assert "labels were made" in result.ended


def test_round_that_was_cut_off_is_made_up_for_once(tmp_path: Path) -> None:
    _, _, project = _run(tmp_path, 14, QUICK.model_copy(update={"threshold": 1.0}), labels=4)
    oracle = ReferenceOracle(tmp_path / "set" / "masks")
    with project:
        Loop(project).freeze_round()  # by a process that was killed then
        for labels, rounds in ((4, 2), (4, 2), (5, 3)):
            drain(simulate(project, oracle, labels=labels))
            assert len(project.rounds()) == rounds


def test_image_without_a_reference_is_excluded_by_name(tmp_path: Path) -> None:
    for _ in write_pairs(tmp_path / "set", 5, seed=1, choice=lambda _: SMALL):
        pass
    (tmp_path / "set" / "masks" / "00003.png").unlink()
    with Project.create(tmp_path / "project", settings=QUICK) as project:
        for _ in take_up(project, [str(tmp_path / "set" / "images")]):
            pass
        oracle = ReferenceOracle(tmp_path / "set" / "masks")
        for _ in simulate(project, oracle):
            pass
        (excluded,) = project.images(state=ImageState.EXCLUDED)
        assert excluded.path.name == "00003.png"
        assert "no reference mask" in excluded.reason


def test_oracle_refuses_masks_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match="is no folder"):
        ReferenceOracle(tmp_path / "none")


def test_oracle_lists_its_folder_once_and_again_for_a_mask_that_came_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in write_pairs(tmp_path / "set", 5, seed=1, choice=lambda _: SMALL):
        pass
    late, early = tmp_path / "set" / "masks" / "00004.png", tmp_path / "00004.png"
    late.rename(early)
    listings, by_stem = [], masks.by_stem
    monkeypatch.setattr(masks, "by_stem", lambda folder: listings.append(folder) or by_stem(folder))
    with Project.create(tmp_path / "project", settings=QUICK) as project:
        for _ in take_up(project, [str(tmp_path / "set" / "images")]):
            pass
        oracle = ReferenceOracle(tmp_path / "set" / "masks")
        *found, last = sorted(project.images(), key=lambda record: record.path.name)
        for record in found:
            assert np.array_equal(oracle.mask(record) > 0, masks.load(oracle.folder / record.path.name) > 0)
        assert len(listings) == 1
        with pytest.raises(MaskError, match="no reference mask"):
            oracle.mask(last)
        early.rename(late)
        assert oracle.mask(last).any()
        late.unlink()
        with pytest.raises(MaskError, match="no reference mask"):
            oracle.mask(last)


def test_accepted_masks_are_learnt_twice_once_nothing_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labeler.loop.FEWEST_ACCEPTED", 5)
    monkeypatch.setattr("labeler.loop.SURE", 0.0)
    monkeypatch.setattr("labeler.loop.is_published", lambda *_, **__: True)
    _, lines, project = _run(tmp_path, 14, QUICK.model_copy(update={"long_steps": 20, "threshold": 0.0}))
    with project:
        assert len(lines) == 4
        assert [version.metrics["long"] for version in project.versions()] == [False, True, True, True]
        accepted = [version.metrics["accepted"] for version in project.versions()]
        assert accepted[:2] == [0, 0]
        assert accepted[2] == 10
        assert accepted[3] > 0
        assert project.counts().labelled == 4
        assert project.count_to_predict() == 0
