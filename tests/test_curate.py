"""The article's experiment: arms on one small stream, with the truth beside."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import numpy as np
import pytest
import torch
from PIL import Image as PILImage
from typer.testing import CliRunner

from labeler.cli import app
from labeler.driving import drain
from labeler.errors import MaskError, SettingsError, StorageError, StreamError, TrainingError
from labeler.headless import take_up
from labeler.inference import Predictor
from labeler.project import Project
from labeler.records import Progress
from labeler.ships import ShipsConfig
from labeler.stream.sources import Ships
from labeler.studies.charts import ticks
from labeler.studies.curate.agreement import Agreement, Bar, measure
from labeler.studies.curate.article import BATCH, FIRST, FIRST_BATCH, MOST_EPOCHS, SHARE, ArticleTrainer, ArticleWalk
from labeler.studies.curate.experiment import Experiment, RunEnded, RunStarted, figures_of
from labeler.studies.curate.pairs import FilePairs, PairsOracle, ShipsPairs, take_in, write_ships
from labeler.studies.curate.plan import Plan, Run, runs_of
from labeler.studies.curate.pruning import Jury, Trials, eliminated, influences, prune
from labeler.studies.curate.report import write_report
from labeler.studies.samples import write_pairs
from labeler.studies.walking import Budget, SimulatedRound

SMALL = ShipsConfig(size=32, margin=10, radii=(5.0, 8.0), sides=(4.0, 8.0))
QUICK = {
    "base_width": 4,
    "patch": 32,
    "batch": 4,
    "shift": 2,
    "steps": 10,
    "first_steps": 20,
    "long_steps": 0,
    "device": "cpu",
}
PLAN = Plan(bar=Bar("iou", 0.3), changes={**QUICK, "first_labels": 4, "invert": True}, article_width=2)
BRIEF = replace(PLAN, changes={**PLAN.changes, "base_width": 2, "first_steps": 3})  # where nothing need be learnt


def _pairs(folder: Path, count: int = 20) -> ShipsPairs:
    pairs = ShipsPairs(Ships(count, 1, SMALL), folder / "stream")
    _finish(write_ships(pairs))
    return pairs


def _finish(work: Generator[Any, None, Any]) -> tuple[Any, list[Any]]:
    """The result, and what was told besides progress."""
    told: list[Any] = []
    result = drain(work, told.append)
    return result, [item for item in told if not isinstance(item, Progress)]


def _experiment(folder: Path, plan: Plan = PLAN, count: int = 20) -> Experiment:
    pairs = _pairs(folder, count)
    return Experiment("small ships", pairs, pairs.fresh(6), plan, folder)


@pytest.mark.parametrize(("threshold", "plain"), [(0.8075, 0.9), (0.9, 0.9), (1.0, 0.95), (0.0, 0.0), (0.75, 0.85)])
def test_bar_in_stepped_iou_stands_at_the_plain_iou_that_reaches_it(threshold: float, plain: float) -> None:
    assert Bar("stepped", threshold).plain == pytest.approx(plain)
    assert PLAN.settings(3).threshold == 0.3


def test_ours_labels_until_no_image_without_a_label_falls_short(tmp_path: Path) -> None:
    # Seen once each, masks do not depend on which others were predicted with them.
    experiment = _experiment(tmp_path, replace(PLAN, changes={**PLAN.changes, "grey_share": 0.0}))
    (result,), _ = _finish(experiment.results(["ours"], [0]))
    predictor = Predictor.load(tmp_path / result["model"])
    agreement, _ = _finish(measure(predictor, experiment.pairs, range(20)))
    labelled = {label["index"] for label in result["history"]}
    assert set(agreement.below(experiment.plan.bar)) <= labelled
    assert result["labels"] == len(labelled) == result["core"] + result["holdout"]
    below = len(agreement.below(experiment.plan.bar))
    assert (result["stream"]["below"], result["stream"]["below_labelled"]) == (below, below)
    assert result["stream"]["iou"]["min"] == pytest.approx(agreement.plain.min())
    assert np.allclose(figures_of(tmp_path, Run("ours", 0, 0))["stream_plain"], agreement.plain)
    assert result["fresh"]["images"] == 6
    with Project.open(tmp_path / "runs" / "ours-s0-f0" / "project") as project:
        assert project.counts().labelled == result["labels"]


def test_what_nearly_falls_short_is_labelled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A bar that everything reaches, and a margin that takes in all.
    monkeypatch.setattr("labeler.studies.curate.ours.NEARLY", 2.0)
    changes = {**PLAN.changes, "threshold": 0.0, "long_steps": 0}
    experiment = _experiment(tmp_path, replace(PLAN, bar=Bar("iou", 0.0), changes=changes))
    (result,), _ = _finish(experiment.results(["ours"], [0]))
    assert [item["below"] for item in result["passes"]] == [0, 0]
    assert [item["asked"] for item in result["passes"]] == [8, 0]
    assert result["labels"] == result["walk_labels"] + 8
    (again,), _ = _finish(experiment.results(["ours"], [0]))
    assert again["labels"] == result["labels"]


def test_stopped_run_goes_on_where_it_was_and_a_done_one_is_left_alone(tmp_path: Path) -> None:
    experiment = _experiment(tmp_path)
    work = experiment.results(["ours"], [0])
    while not isinstance(next(work), SimulatedRound):
        pass
    while next(work) != Progress("training", 3, 10, ANY):
        pass
    work.close()
    folder = tmp_path / "runs" / "ours-s0-f0"
    with Project.open(folder / "project") as project:
        before = [label.image_id for label in project.labels()]
        first, stopped = project.rounds()
        assert (first.published, stopped.reason) == (True, "stopped")
    (result,), told = _finish(experiment.results(["ours"], [0]))
    with Project.open(folder / "project") as project:
        assert [label.image_id for label in project.labels()][: len(before)] == before
        assert project.rounds()[2].core_count == stopped.core_count  # made up for before anything else is asked
    assert next(item.number for item in told if isinstance(item, SimulatedRound)) == 3
    stamp = (folder / "result.json").stat().st_mtime_ns
    (again,), told = _finish(experiment.results(["ours"], [0]))
    assert told == [RunStarted(Run("ours", 0, 0), is_done=True)]
    assert again == result
    assert (folder / "result.json").stat().st_mtime_ns == stamp


def test_budget_of_labels_is_never_exceeded(tmp_path: Path) -> None:
    plan = replace(PLAN, bar=Bar("iou", 0.99), budget=Budget(labels=7))
    (result,), _ = _finish(_experiment(tmp_path, plan).results(["ours"], [0]))
    assert result["labels"] == 7
    assert result["ended"] == "7 labels were made"
    assert result["rounds"][-1]["core"] == result["core"]


def test_stream_in_chunks_is_taken_up_in_its_shuffled_order(tmp_path: Path) -> None:
    plan = replace(PLAN, chunk=8, shuffled=True)
    experiment = _experiment(tmp_path, plan)
    (result,), _ = _finish(experiment.results(["ours"], [5]))
    order = plan.ordered(20, 5)
    assert sorted(order) == list(range(20)) != list(order)
    assert all(order[label["position"]] == label["index"] for label in result["history"])
    assert all(label["position"] < 8 for label in result["history"] if label["round"] == 1)


def test_folds_have_disjoint_cores(tmp_path: Path) -> None:
    plan = replace(BRIEF, folds=3)
    results, told = _finish(_experiment(tmp_path, plan).results(["random-4"], [0]))
    cores = [{label["index"] for label in result["history"]} for result in results]
    assert [len(core) for core in cores] == [4, 4, 4]
    assert len(set().union(*cores)) == 12
    assert sum(isinstance(item, RunEnded) for item in told) == 3


@pytest.mark.parametrize(("long", "taken"), [(5, 5), (0, 3)])
def test_random_arms_take_as_many_steps_as_the_last_model_of_ours(tmp_path: Path, long: int, taken: int) -> None:
    plan = replace(BRIEF, changes={**BRIEF.changes, "long_steps": long})
    (result,), _ = _finish(_experiment(tmp_path, plan, count=8).results(["random-3"], [0]))
    assert result["rounds"][0]["steps"] == taken


def test_random_arms_are_nested_and_all_takes_every_label(tmp_path: Path) -> None:
    few, more, everything = _finish(
        _experiment(tmp_path, BRIEF, count=8).results(["random-3", "random-5", "all"], [0])
    )[0]
    chosen = [[label["index"] for label in result["history"]] for result in (few, more, everything)]
    assert chosen[1][:3] == chosen[0]
    assert sorted(chosen[2]) == list(range(8))
    assert everything["rounds"][0]["core"] == 8


def test_runs_made_earlier_stand_in_the_same_report(tmp_path: Path) -> None:
    experiment = _experiment(tmp_path, BRIEF, count=8)
    (first,), _ = _finish(experiment.results(["random-3"], [0]))
    (second, earlier), told = _finish(experiment.results(["random-4"], [1]))
    assert (second["arm"], second["seed"]) == ("random-4", 1)
    assert earlier == first
    assert sum(isinstance(item, RunStarted) for item in told) == 1


def test_other_options_in_the_same_folder_are_refused(tmp_path: Path) -> None:
    _finish(_experiment(tmp_path, BRIEF).results(["random-3"], [0]))
    other = replace(BRIEF, bar=Bar("stepped", 0.3))
    with pytest.raises(StorageError, match="other options"):
        _finish(_experiment(tmp_path, other).results(["random-3"], [0]))


def test_arms_that_are_none_are_refused() -> None:
    with pytest.raises(SettingsError, match="random-0: is no arm"):
        runs_of(["ours", "random-0"], [0], 1)


class _Untrained(ArticleTrainer):
    """Its net stays as it was made, so that what falls short can be computed again."""

    def fit(self, batch: int) -> Generator[Progress, None, tuple[int, float]]:
        self.batches = [*getattr(self, "batches", []), batch]
        yield Progress("training", 1, 0)
        return 1, 1.0


def test_article_takes_the_first_eleven_then_what_is_below_its_bar(tmp_path: Path) -> None:
    pairs = _pairs(tmp_path, 30)
    trainer = _Untrained(pairs, width=2, precision=0.85, seed=0, device="cpu")
    order = np.random.default_rng(0).permutation(30)
    _, rounds = _finish(ArticleWalk(trainer, order, Budget(), tmp_path).chunks())
    agreement, _ = _finish(measure(trainer.predictor(), pairs, order[FIRST:]))
    below = [index for index, score in zip(order[FIRST:], agreement.stepped, strict=True) if score < SHARE * 0.85]
    assert trainer.core == [*order[:FIRST], *below]
    assert trainer.batches == [FIRST_BATCH, BATCH] == [10, 50]
    assert [line.core for line in rounds] == [11, len(trainer.core)]


class _Scripted(ArticleTrainer):
    """Its epochs end with these running metrics."""

    script: Sequence[float] = ()

    def _epoch(self, epoch: int, batch: int) -> Generator[Progress, None, float]:
        yield Progress("training", epoch, 0)
        return self.script[epoch - 1]


def test_article_trains_until_its_running_metric_exceeds_precision(tmp_path: Path) -> None:
    trainer = _Scripted(_pairs(tmp_path, 4), width=2, precision=0.85, seed=0, device="cpu")
    trainer.script = (0.2, 0.84, 0.85, 0.86, 0.9)
    assert _finish(trainer.fit(10))[0] == (4, 0.86)
    trainer.script = (0.1,) * MOST_EPOCHS
    with pytest.raises(TrainingError, match="was not met"):
        _finish(trainer.fit(10))


def test_article_learns_by_adam_with_dropout_and_its_metric_is_that_of_train_mode(tmp_path: Path) -> None:
    trainer = ArticleTrainer(_pairs(tmp_path, 14), width=2, precision=-1.0, seed=0, device="cpu")
    before = [parameter.detach().clone() for parameter in trainer.network.parameters()]
    _, (first,) = _finish(ArticleWalk(trainer, np.arange(14), Budget(), tmp_path).chunks())
    assert (first.epochs, first.core, first.position) == (1, FIRST, FIRST)
    assert 0 <= first.running <= 1
    assert trainer.network.training
    assert trainer.network.config.dropout == 0.5
    assert isinstance(trainer.optimiser, torch.optim.Adam)
    assert trainer.optimiser.param_groups[0]["lr"] == 1e-3
    assert any(not torch.equal(old, new) for old, new in zip(before, trainer.network.parameters(), strict=True))


def test_stopped_article_goes_on_with_the_same_core(tmp_path: Path) -> None:
    pairs = _pairs(tmp_path, 14)

    def walk() -> ArticleWalk:
        trainer = ArticleTrainer(pairs, width=2, precision=-1.0, seed=0, device="cpu")
        return ArticleWalk(trainer, np.arange(14), Budget(), tmp_path)

    work = walk().chunks()
    while isinstance(next(work), Progress):
        pass
    work.close()
    resumed = walk()
    assert (resumed.position, len(resumed.trainer.core), len(resumed.rounds)) == (11, 11, 1)
    _finish(resumed.chunks())
    assert resumed.position == 14


def test_folder_pairs_need_masks_of_the_same_names(tmp_path: Path) -> None:
    _finish(write_pairs(tmp_path / "set", 3, seed=1, choice=lambda _: SMALL))
    (tmp_path / "set" / "masks" / "00001.png").unlink()
    source = str(tmp_path / "set" / "images")
    pairs, _ = _finish(take_in(source, tmp_path / "set" / "masks", tmp_path / "out"))
    assert isinstance(pairs, FilePairs)
    assert [path.name for path in pairs.images] == ["00000.png", "00002.png"]
    assert pairs.mask(1).max() == 1
    with pytest.raises(StreamError, match="--reference"):
        _finish(take_in(source, None, tmp_path / "out"))
    with Project.create(tmp_path / "project") as project:
        _finish(take_up(project, [source]))
        with pytest.raises(MaskError, match="none of the pairs"):
            PairsOracle(pairs).mask(project.image(2))


class _Known(Trials):
    """Subsets score by how many of the pairs 3 and 5 they hold; each question is noted."""

    def judged(self, subset: Sequence[int]) -> Generator[Progress, None, list[float]]:
        yield Progress("judging", 0, 0)
        return [0.5 + 0.2 * len({3, 5} & set(subset)) + 0.001 * at for at in range(8)]


def test_pruning_keeps_exactly_the_pairs_without_which_nets_are_worse(tmp_path: Path) -> None:
    pairs = _pairs(tmp_path, 2)
    trials = _Known(pairs, Jury(pairs, np.arange(1), np.arange(1)), PLAN.settings(0), tmp_path)
    core, steps = _finish(eliminated(trials, range(9), np.random.default_rng(0)))
    assert core == [3, 5]
    assert all(step.is_kept_out == (step.difference == 0) for step in steps)
    influence, _ = _finish(influences(trials, [3, 4, 5]))
    assert [pair["is_essential"] for pair in influence] == [True, False, True]
    assert [round(pair["worth"], 6) for pair in influence] == [0.2, 0.0, 0.2]


def test_pruned_report_stands_beside_random_subsets_and_nothing_is_trained_twice(tmp_path: Path) -> None:
    experiment = _experiment(tmp_path, BRIEF)
    (result,), _ = _finish(experiment.results(["random-2"], [0]))
    run = Run("random-2", 0, 0)
    outcome, _ = _finish(prune(experiment, run, result["history"], judges=3))
    assert [row["subset"] for row in outcome["rows"]] == [
        "whole core",
        "pruned core",
        *(f"random {n}" for n in (1, 2, 3)),
    ]
    assert {row["labels"] for row in outcome["rows"][1:]} == {len(outcome["core"])}
    assert set(outcome["core"]) <= set(outcome["whole"])
    model = run.folder(tmp_path) / "pruned" / "model.safetensors"
    stamp = model.stat().st_mtime_ns
    assert _finish(prune(experiment, run, result["history"], judges=3))[0] == outcome
    assert model.stat().st_mtime_ns == stamp
    told = write_report(experiment, [result], pruned=[outcome])
    assert told["pruned"] == [outcome]
    assert "essential" in (tmp_path / "report.md").read_text("utf-8")


def test_every_picture_of_a_report_is_there_and_can_be_opened(tmp_path: Path) -> None:
    experiment = _experiment(tmp_path, BRIEF, count=8)
    results, _ = _finish(experiment.results(["random-2", "random-4"], [0]))
    write_report(experiment, results)
    names = re.findall(r"!\[[^]]*\]\(([^)]+)\)", (tmp_path / "report.md").read_text("utf-8"))
    assert len(names) == 6
    for name in names:
        with PILImage.open(tmp_path / name) as picture:
            assert len(picture.convert("RGB").getcolors(1 << 20) or ()) > 5


@pytest.mark.parametrize(
    ("bar", "gate", "accepted", "wrong"),
    [(Bar(), 0.8075, 3, 1), (Bar("stepped", 0.8075), 0.9, 2, 1), (Bar("iou", 1), 1, 0, 0)],
)
def test_gate_at_the_bar_accepts_by_confidence_alone(bar: Bar, gate: float, accepted: int, wrong: int) -> None:
    plain, confidence = np.array([0.95, 0.85, 0.5, 0.7]), np.array([0.96, 0.85, 0.92, 0.1])
    stepped = np.array([1.0, 0.8, 0.1, 0.5])
    assert Agreement(np.arange(4), plain, stepped, confidence).gated(bar) == {
        "threshold": pytest.approx(gate),
        "accepted": accepted,
        "accepted_below": wrong,
    }


@pytest.mark.parametrize(
    ("low", "high", "wanted"), [(0, 10_000, 2000), (0.55, 1.0, 0.1), (0, 1, 0.2), (0, 7, 2), (0.98, 0.99, 0.002)]
)
def test_ticks_are_round_and_within_the_axis(low: float, high: float, wanted: float) -> None:
    found = ticks(low, high)
    assert np.allclose(np.diff(found), wanted)
    assert low <= found[0] + 1e-9
    assert found[-1] <= high + 1e-9


def test_command_leaves_a_report_and_lines_of_json(tmp_path: Path) -> None:
    changes = [f"--set={name}={value}" for name, value in {**QUICK, "base_width": 2}.items()]
    command = ["curate", "ships:10?seed=1&size=64", "--arm=random-3", "--fresh=4", "--json", *changes]
    answer = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "out")])
    assert answer.exit_code == 0, answer.output
    events = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [event["event"] for event in events] == ["run", "result", "report"]
    report = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert "plain IoU" in report
    assert "random-3" in report
    figures = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert figures["runs"][0]["stream"]["images"] == 10
    assert figures["fresh"] == 4
    (worst,) = figures["worst"]
    for place in ("stream", "fresh"):
        ious = [item["iou"] for item in worst[place]]
        assert ious == sorted(ious)
        assert ious[0] == figures["runs"][0][place]["iou"]["min"]
        assert f"{worst[place][0]['index']} ({ious[0]:.4f}; {worst[place][0]['confidence']:.3f})" in report
        assert set(figures["runs"][0][place]["gate"]) == {"threshold", "accepted", "accepted_below"}
    assert "A gate at the bar" in report
    assert len({item["index"] for item in worst["fresh"]}) == 4
