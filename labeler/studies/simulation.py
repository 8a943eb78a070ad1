"""A simulated person: reference masks answer every query until nothing waits."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from labeler.errors import MaskError
from labeler.loop import Loop
from labeler.metrics import mean_iou
from labeler.project import Project
from labeler.records import ImageState, Progress
from labeler.studies.walking import Budget, Oracle, SimulatedRound, Walker


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """The table at the end. IoUs are plain, with the reference; ``low`` counts accepted masks below ``wrong_below``."""

    streamed: int
    accepted: int
    labelled: int
    waiting: int
    core: int
    holdout: int
    excluded: int
    unreadable: int
    rounds: int
    published: int
    threshold: float
    judged: int
    mean_accepted_iou: float | None
    smallest_accepted_iou: float | None
    wrong_below: float
    low: int
    low_share: float | None
    training_seconds: float
    prediction_seconds: float
    seconds: float
    ended: str


def simulate(
    project: Project, oracle: Oracle, *, minutes: float | None = None, labels: int | None = None
) -> Generator[Progress | SimulatedRound, None, SimulationResult]:
    """Run a project's loop with reference masks for a person; ends when nothing waits or a budget is spent.

    Every figure of the result is read from the catalogue and the files of the project.
    """
    walker = Walker(Loop(project), oracle, budget=Budget(labels, minutes))
    ended = yield from walker.work_off()
    yield Progress("measuring", 0, 0)
    return _result(walker, ended)


def accepted_ious(project: Project, oracle: Oracle) -> dict[int, float]:
    """Image id -> plain IoU of every accepted mask with its reference, where there is one."""
    records = project.images(state=ImageState.ACCEPTED)
    ious = {}
    for record in records:
        prediction = project.prediction(record.image_id)
        try:
            reference = oracle.mask(record)
        except MaskError:
            continue
        if prediction is not None:
            ious[record.image_id] = mean_iou(prediction[0], reference, classes=len(project.settings.classes))
    return ious


def _result(walker: Walker, ended: str) -> SimulationResult:
    project, clock = walker.loop.project, walker.clock
    counts = project.counts()
    ious = np.array(list(accepted_ious(project, walker.oracle).values()))
    below = project.settings.wrong_below
    low = int((ious < below).sum())
    rounds = project.rounds()
    return SimulationResult(
        streamed=counts.streamed,
        accepted=counts.accepted,
        labelled=counts.labelled,
        waiting=counts.queued + counts.pool,
        core=counts.core,
        holdout=counts.holdout,
        excluded=counts.excluded,
        unreadable=counts.unreadable,
        rounds=len(rounds),
        published=sum(record.published for record in rounds),
        threshold=project.settings.threshold,
        judged=len(ious),
        mean_accepted_iou=float(ious.mean()) if ious.size else None,
        smallest_accepted_iou=float(ious.min()) if ious.size else None,
        wrong_below=below,
        low=low,
        low_share=low / ious.size if ious.size else None,
        training_seconds=clock.training,
        prediction_seconds=clock.prediction,
        seconds=clock.total,
        ended=ended,
    )
