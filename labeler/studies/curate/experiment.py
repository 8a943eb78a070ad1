"""Every run of an experiment, one after another; a run that has its result is not made again."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labeler.errors import StorageError
from labeler.files import write_atomically
from labeler.inference import Predictor
from labeler.records import Progress
from labeler.studies.curate import article, ours
from labeler.studies.curate.agreement import Agreement, measure
from labeler.studies.curate.article import ArticleRound, ArticleTrainer, ArticleWalk
from labeler.studies.curate.ours import SweepPass
from labeler.studies.curate.pairs import Indices, Pairs
from labeler.studies.curate.plan import Plan, Run, runs_of
from labeler.studies.curate.subsets import train_on
from labeler.studies.walking import SimulatedRound

CONFIGURATION = "experiment.json"
RESULT, FIGURES = "result.json", "figures.npz"


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins; ``is_done`` where its result is there already."""

    run: Run
    is_done: bool


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run's result, as it is in its ``result.json``."""

    run: Run
    result: dict[str, Any]


Told = Progress | SimulatedRound | ArticleRound | SweepPass | RunStarted | RunEnded


@dataclass(frozen=True, slots=True)
class Experiment:
    """Runs over one stream; ``fresh`` are pairs that no run has streamed, None where there are none."""

    name: str  # of the source, as a person wrote it
    pairs: Pairs
    fresh: Pairs | None
    plan: Plan
    out: Path

    def results(self, arms: Sequence[str], seeds: Sequence[int]) -> Generator[Told, None, list[dict[str, Any]]]:
        """Make the runs that are missing; the results of all, and of what else has been run in the folder."""
        self._claim()
        found, wanted = [], runs_of(arms, seeds, self.plan.folds)
        for run in wanted:
            result = self._result(run)
            yield RunStarted(run, result is not None)
            if result is None:
                with closing(self._made(run)) as work:
                    result = yield from work
                yield RunEnded(run, result)
            found.append(result)
        names = {run.name for run in wanted}
        others = sorted(self.out.glob(f"runs/*/{RESULT}"))
        return [*found, *(_read(path) for path in others if path.parent.name not in names)]

    def _claim(self) -> None:
        """Runs of another stream or plan in the same folder would stand in one table: StorageError."""
        values = json.loads(json.dumps({"source": self.name, "pairs": len(self.pairs), "plan": asdict(self.plan)}))
        del values["plan"]["folds"]  # more folds, arms and seeds may join later
        values["fresh"] = None if self.fresh is None else len(self.fresh)
        path = self.out / CONFIGURATION
        if path.exists():
            if _read(path) != values:
                raise StorageError(f"{self.out}: holds runs with other options; choose another folder for these")
            return
        write_atomically(path, json.dumps(values, indent=1).encode())

    def _result(self, run: Run) -> dict[str, Any] | None:
        path = run.folder(self.out) / RESULT
        return _read(path) if path.exists() else None

    def _made(self, run: Run) -> Generator[Told, None, dict[str, Any]]:
        folder = run.folder(self.out)
        folder.mkdir(parents=True, exist_ok=True)
        order = self.order(run)
        figures = yield from self._curated(run, order, folder)
        model = figures.pop("model")
        begin = time.monotonic()
        settings = self.plan.settings(run.seed)
        predictor = Predictor.load(model, device=settings.device)
        ways = None if run.arm == "article" else settings  # the article sees every image once
        stream = figures.pop("agreement", None)
        if stream is None:
            stream = yield from measure(
                predictor, self.pairs, np.sort(order), settings=ways, phase="measuring the stream"
            )
        fresh = None
        if self.fresh is not None:
            fresh = yield from measure(
                predictor, self.fresh, range(len(self.fresh)), settings=ways, phase="measuring fresh images"
            )
        figures["seconds"]["measuring"] = time.monotonic() - begin
        _keep_figures(folder / FIGURES, stream, fresh)
        bar, labelled = self.plan.bar, [label["index"] for label in figures["history"]]
        result = {
            "arm": run.arm,
            "seed": run.seed,
            "fold": run.fold,
            "metric": bar.metric,
            "threshold": bar.threshold,
            "streamed": len(order),
            "model": str(model.relative_to(self.out)),
            **figures,
            "stream": {**stream.summary(bar), "below_labelled": int(np.isin(stream.below(bar), labelled).sum())},
            "fresh": None if fresh is None else fresh.summary(bar),
        }
        write_atomically(folder / RESULT, json.dumps(result, indent=1).encode())
        return result

    def order(self, run: Run) -> Indices:
        """The stream of a run: without what earlier folds of the same arm and seed have labelled."""
        order = self.plan.ordered(len(self.pairs), run.seed)
        taken: set[int] = set()
        for fold in range(run.fold):
            earlier = self._result(Run(run.arm, run.seed, fold))
            assert earlier is not None, "folds are made one after another"
            taken.update(label["index"] for label in earlier["history"])
        return order[~np.isin(order, sorted(taken))] if taken else order

    def _curated(self, run: Run, order: Indices, folder: Path) -> Generator[Told, None, dict[str, Any]]:
        plan = self.plan
        if run.arm == "ours":
            return (yield from ours.curate(self.pairs, order, plan, folder, seed=run.seed))
        if run.arm == "article":
            trainer = ArticleTrainer(
                self.pairs,
                width=plan.article_width,
                precision=plan.article_precision,
                seed=run.seed,
                device=plan.settings(run.seed).device,
            )
            return (yield from article.curate(ArticleWalk(trainer, order, plan.budget, folder)))
        return (yield from self._trained_at_random(run, order, folder))

    def _trained_at_random(self, run: Run, order: Indices, folder: Path) -> Generator[Told, None, dict[str, Any]]:
        """N random labels, or all, and one round of the same trainer from nothing."""
        begin = time.monotonic()
        drawn = np.random.default_rng((run.seed, 3)).permutation(len(order))[: run.random_labels]
        chosen = [int(order[at]) for at in drawn]
        trained = yield from train_on(
            self.pairs,
            chosen,
            masks_folder=folder / "masks",
            output=folder / "model.safetensors",
            settings=self.plan.settings(run.seed),
            seed=run.seed + 1,
        )
        seconds = time.monotonic() - begin
        plain = {"split": "core", "round": 1, "sweep": False}
        return {
            "model": trained.path,
            "labels": len(chosen),
            "core": len(chosen),
            "holdout": 0,
            "walk_labels": len(chosen),
            "history": [{"index": int(order[at]), "position": int(at), **plain} for at in drawn],
            "rounds": [{"round": 1, "core": len(chosen), "steps": trained.steps, "seconds": trained.seconds}],
            "passes": [],
            "seconds": {"training": trained.seconds, "prediction": 0.0, "walk": seconds, "all": seconds},
            "ended": "trained once",
        }


def figures_of(out: Path, run: Run) -> dict[str, Any]:
    """Of every image ``stream_index``, ``stream_plain``, ``stream_stepped``, ``stream_confidence``; so of ``fresh``."""
    with np.load(run.folder(out) / FIGURES) as kept:
        return {name: kept[name] for name in kept.files}


def _keep_figures(path: Path, stream: Agreement, fresh: Agreement | None) -> None:
    arrays: dict[str, Any] = {
        "stream_index": stream.indices,
        "stream_plain": stream.plain,
        "stream_stepped": stream.stepped,
        "stream_confidence": stream.confidence,
    }
    if fresh is not None:
        arrays |= {
            "fresh_plain": fresh.plain,
            "fresh_stepped": fresh.stepped,
            "fresh_confidence": fresh.confidence,
        }
    payload = io.BytesIO()
    np.savez_compressed(payload, **arrays)
    write_atomically(path, payload.getvalue(), durable=False)


def _read(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise StorageError(f"{path}: cannot be read; delete it, and its run is made again") from error
    return values
