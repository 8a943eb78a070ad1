"""The arm ``ours``: the program itself at work on a real project, and a sweep with the truth behind it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Generator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from labeler.errors import ProjectError
from labeler.files import write_atomically
from labeler.inference import Predictor
from labeler.loop import Loop
from labeler.project import Project
from labeler.records import ImageRecord, ImageState, LabelRecord, Progress
from labeler.studies.curate.agreement import Agreement, Bar, measure
from labeler.studies.curate.pairs import Indices, Pairs, PairsOracle, stream_items
from labeler.studies.curate.plan import Plan
from labeler.studies.walking import Clock, SimulatedRound, Walker

TAKEN_AT_ONCE = 64  # files in one transaction of the catalogue
SITTING = 8  # labels that a sweep asks for at once
NEARLY = 0.03  # plain IoU above the bar that is labelled too, once: of as many fresh images some like it fall short
WALKED = "walk_ended"  # event of the project: from here on the truth chooses what is labelled


@dataclass(frozen=True, slots=True)
class SweepPass:
    """Every streamed image, predicted by the model in use and compared with the truth."""

    number: int
    labels: int
    agreement: Agreement
    below: int  # images that fall short of the bar
    asked: int  # labels that follow from it


Told = Progress | SimulatedRound | SweepPass


class Curation:
    """One project's way through a stream and the sweep that follows; it goes on where it was stopped."""

    def __init__(self, pairs: Pairs, order: Indices, plan: Plan, project: Project, clock: Clock) -> None:
        self.pairs, self.order, self.plan = pairs, order, plan
        self.project, self.clock = project, clock
        self.loop, self.oracle = Loop(project), PairsOracle(pairs)
        self.walker = Walker(self.loop, self.oracle, budget=plan.budget, order=plan.order, clock=clock)
        self.ended, self.walk_seconds = "", 0.0

    def walk(self) -> Generator[Told, None, None]:
        """Take up the stream, chunk by chunk, and answer what the program asks."""
        chunk = self.plan.chunk or len(self.order)
        done = len(self.project.known_paths())
        while True:
            if not self.walked:
                self.ended = yield from self.walker.work_off(sweep=done >= len(self.order))
            if done >= len(self.order) or self.walker.spent():
                break
            yield from self._take_up(self.order[done : done + chunk], done)
            done += chunk
        if not self.walked:
            newest = max((label.label_id for label in self.project.labels()), default=0)
            self.project.log(WALKED, label_id=newest, why=self.ended, seconds=self.clock.total)
        event = self.project.events(kind=WALKED, limit=1)[0]
        self.ended, self.walk_seconds = str(event.payload["why"]), float(event.payload["seconds"])

    def _take_up(self, chunk: Indices, before: int) -> Generator[Progress, None, None]:
        items = stream_items(self.pairs, chunk)
        while batch := list(islice(items, TAKEN_AT_ONCE)):
            self.project.add(batch)
            before += len(batch)
            yield Progress("reading images", before, len(self.order))

    @property
    def walked(self) -> bool:
        """Whether the walk is over, in this process or an earlier one."""
        return bool(self.project.events(kind=WALKED, limit=1))

    def sweep(self) -> Generator[Told, None, list[SweepPass]]:
        """Label the worst of what falls short of the bar and retrain, until no image that is left does."""
        passes: list[SweepPass] = []
        agreement: Agreement | None = None
        version = None
        while True:
            champion = self.project.champion()
            if champion is None:
                raise ProjectError(f"{self.project.folder}: no model came of the stream; it needs more images")
            if agreement is None or champion.version != version:
                version = champion.version
                agreement = yield from self._measured(champion.path, version)
            swept = any(label["sweep"] for label in self.history())
            asked = self._short(agreement, nearly=not swept)
            labels, below = self.project.counts().labelled, len(agreement.below(self.plan.bar))
            passes.append(SweepPass(len(passes) + 1, labels, agreement, below, len(asked)))
            yield passes[-1]
            if not asked:
                return passes
            yield from self._learn(asked)

    def _measured(self, model: Path, version: int) -> Generator[Progress, None, Agreement]:
        begin, settings = time.monotonic(), self.project.settings
        predictor = Predictor.load(model, version=version, device=settings.device)
        agreement = yield from measure(predictor, self.pairs, np.sort(self.order), settings=settings, phase="sweeping")
        self.clock.prediction += time.monotonic() - begin
        return agreement

    def _short(self, agreement: Agreement, *, nearly: bool) -> list[int]:
        """Ids of unlabelled images below the bar, or ``nearly``, the worst first: one sitting, or what a round takes if
        that is more.

        A long round follows each time: with half as many labels each the last ones would take twice as long.
        """
        if self.walker.spent():
            return []
        ids = {record.path: record.image_id for record in self._open_images()}
        bar = Bar("iou", self.plan.bar.plain + NEARLY) if nearly else self.plan.bar
        below = [self.pairs.path(int(index)) for index in agreement.below(bar)]
        wanted, left = max(SITTING, self.loop.labels_until_round), self.walker.left()
        found = [ids[path] for path in below if path in ids]
        return found[: wanted if left is None else min(wanted, left)]

    def _open_images(self) -> list[ImageRecord]:
        states = (ImageState.ACCEPTED, ImageState.QUEUED, ImageState.POOL)
        return [record for state in states for record in self.project.images(state=state)]

    def _learn(self, asked: list[int]) -> Generator[Told, None, None]:
        for image_id in asked:
            self.walker.answer(self.project.image(image_id))
        if self.loop.new_labels:  # none where all of them went to the holdout
            yield (yield from self.walker.round())

    def history(self) -> list[dict[str, Any]]:
        """Every label in the order in which it was made, with the round that it was first trained in."""
        position = {int(index): at for at, index in enumerate(self.order)}
        marks = sorted(int(event.payload["label_id"]) for event in self.project.events(kind="round_started"))
        walked = self.project.events(kind=WALKED, limit=1)
        last = int(walked[0].payload["label_id"]) if walked else np.inf
        return [self._told(label, position, marks, last) for label in self.project.labels()]

    def _told(self, label: LabelRecord, position: dict[int, int], marks: list[int], last: float) -> dict[str, Any]:
        index = self.oracle.index(self.project.image(label.image_id))
        return {
            "index": index,
            "position": position[index],
            "round": int(np.searchsorted(marks, label.label_id)) + 1,
            "split": label.split.value,
            "sweep": label.label_id > last,
            "iou": label.iou,  # plain, of the prediction that was corrected
            "confidence": label.confidence,
        }


def curate(
    pairs: Pairs, order: Indices, plan: Plan, folder: Path, *, seed: int
) -> Generator[Told, None, dict[str, Any]]:
    """Walk and sweep; the figures that a result needs, ``model`` (a path) and ``agreement`` among them."""
    with _project(folder / "project", plan, seed) as project:
        clock = Clock(**_spent(folder))
        curation = Curation(pairs, order, plan, project, clock)
        yield from _kept(curation.walk(), folder, clock)
        passes = yield from _kept(curation.sweep(), folder, clock)
        champion, counts, history = project.champion(), project.counts(), curation.history()
        assert champion is not None
        return {
            "agreement": passes[-1].agreement,
            "model": champion.path,
            "labels": counts.labelled,
            "core": counts.core,
            "holdout": counts.holdout,
            "walk_labels": sum(not label["sweep"] for label in history),
            "history": history,
            "rounds": [_round(record) for record in project.rounds()],
            "passes": [
                {"labels": item.labels, "asked": item.asked, **item.agreement.summary(plan.bar)} for item in passes
            ],
            "seconds": {
                "training": clock.training,
                "prediction": clock.prediction,
                "walk": curation.walk_seconds,
                "all": clock.total,
            },
            "ended": curation.ended,
        }


def _project(folder: Path, plan: Plan, seed: int) -> Project:
    if (folder / "project.toml").exists():
        return Project.open(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return Project.create(folder, settings=plan.settings(seed))


def _round(record: Any) -> dict[str, Any]:
    return {
        "round": record.round_id,
        "core": record.core_count,
        "steps": record.steps,
        "seconds": record.seconds,
        "published": record.published,
        "holdout_iou": record.challenger_iou,
        "champion_iou": record.champion_iou,
    }


def _kept(work: Generator[Told, None, Any], folder: Path, clock: Clock) -> Generator[Told, None, Any]:
    """Pass on what the work tells; after each round the clock is written down for a run that is stopped."""
    with contextlib.closing(work):
        while True:
            try:
                item = next(work)
            except StopIteration as stop:
                return stop.value
            if not isinstance(item, Progress):
                values = {"training": clock.training, "prediction": clock.prediction, "before": clock.total}
                write_atomically(folder / "clock.json", json.dumps(values).encode(), durable=False)
            yield item


def _spent(folder: Path) -> dict[str, float]:
    """Seconds of earlier runs of the same walk; what a stopped round took is not among them."""
    try:
        values: dict[str, float] = json.loads((folder / "clock.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return values
