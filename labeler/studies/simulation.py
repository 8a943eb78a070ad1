"""A simulated person: reference masks answer every query until nothing waits."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from labeler.errors import MaskError
from labeler.headless import Forecaster, train_once
from labeler.loop import Loop, RoundOutcome
from labeler.metrics import mean_iou
from labeler.oracle import ReferenceOracle
from labeler.project import Project
from labeler.records import ImageState, Progress

ARTICLE_THRESHOLD = 0.8075


@dataclass(frozen=True, slots=True)
class SimulatedRound:
    """One line of a simulation: where the project stands after a round and the prediction that follows it."""

    number: int
    version: int
    published: bool
    core: int
    holdout: int
    accepted: int
    queued: int
    pool: int
    holdout_iou: float | None  # mean plain IoU of the round's model
    champion_iou: float | None  # of the model before, on the same labels
    training_seconds: float
    prediction_seconds: float


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """The table at the end. IoUs are plain; ``low`` counts accepted masks below 0.8075 against the reference."""

    streamed: int
    accepted: int
    labelled: int
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
    low: int
    low_share: float | None
    training_seconds: float
    prediction_seconds: float
    seconds: float
    ended: str


@dataclass(slots=True)
class _Clock:
    training: float = 0.0
    prediction: float = 0.0


def simulate(
    project: Project, oracle: ReferenceOracle, *, minutes: float | None = None, labels: int | None = None
) -> Generator[Progress | SimulatedRound, None, SimulationResult]:
    """Run a project's loop with reference masks for a person; ends when nothing waits or a budget is spent.

    Every figure of the result is read from the catalogue and the files of the project.
    """
    loop, clock, started = Loop(project), _Clock(), time.monotonic()
    forecaster = Forecaster(loop)
    yield from _timed_prediction(forecaster, clock)
    ended, number = "", 0
    while not ended:
        yield from _answer(loop, oracle)
        if not loop.round_due():
            # Nothing waits: only now is what older models accepted predicted again, until nothing changes.
            if (yield from _timed_prediction(forecaster, clock, sweep=True)) and loop.queue(limit=1):
                continue
            ended = "nothing waits"
            break
        number += 1
        before = clock.training, clock.prediction
        begin = time.monotonic()
        outcome = yield from train_once(loop)
        clock.training += time.monotonic() - begin
        yield from _timed_prediction(forecaster, clock)
        yield _line(loop, number, outcome, clock.training - before[0], clock.prediction - before[1])
        ended = _spent(loop, minutes=minutes, labels=labels, started=started)
    yield Progress("measuring", 0, 0)
    return _result(loop, oracle, clock, time.monotonic() - started, ended)


def _answer(loop: Loop, oracle: ReferenceOracle) -> Generator[Progress, None, None]:
    """Answer queries until a round is due or nothing waits."""
    settings = loop.project.settings
    while not loop.round_due():
        # In queue order, as many as the next round still needs: the order does not change between publications.
        batch = loop.queue(limit=max(1, loop.labels_until_round))
        if not batch:
            return
        for record in batch:
            try:
                loop.commit(record.image_id, oracle.mask(record))
            except MaskError as error:
                loop.exclude(record.image_id, str(error))
        counts = loop.project.counts()
        first = "first labels" if loop.project.champion() is None else "labelling"
        yield Progress(first, counts.labelled, settings.first_labels if first == "first labels" else 0)


def _timed_prediction(forecaster: Forecaster, clock: _Clock, *, sweep: bool = False) -> Generator[Progress, None, int]:
    begin = time.monotonic()
    predicted = yield from forecaster.predict_waiting(sweep=sweep)
    clock.prediction += time.monotonic() - begin
    return predicted


def _line(loop: Loop, number: int, outcome: RoundOutcome, training: float, prediction: float) -> SimulatedRound:
    counts = loop.project.counts()
    return SimulatedRound(
        number=number,
        version=outcome.version,
        published=outcome.published,
        core=counts.core,
        holdout=counts.holdout,
        accepted=counts.accepted,
        queued=counts.queued,
        pool=counts.pool,
        holdout_iou=outcome.holdout_iou,
        champion_iou=outcome.champion_iou,
        training_seconds=training,
        prediction_seconds=prediction,
    )


def _spent(loop: Loop, *, minutes: float | None, labels: int | None, started: float) -> str:
    if minutes is not None and time.monotonic() - started >= 60 * minutes:
        return f"{minutes:g} minutes were spent"
    counts = loop.project.counts()
    if labels is not None and counts.labelled >= labels:
        return f"{counts.labelled} labels were made"
    return ""


def accepted_ious(project: Project, oracle: ReferenceOracle) -> dict[int, float]:
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


def _result(loop: Loop, oracle: ReferenceOracle, clock: _Clock, seconds: float, ended: str) -> SimulationResult:
    project, counts = loop.project, loop.project.counts()
    ious = np.array(list(accepted_ious(project, oracle).values()))
    low = int((ious < ARTICLE_THRESHOLD).sum())
    rounds = project.rounds()
    return SimulationResult(
        streamed=counts.streamed,
        accepted=counts.accepted,
        labelled=counts.labelled,
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
        low=low,
        low_share=low / ious.size if ious.size else None,
        training_seconds=clock.training,
        prediction_seconds=clock.prediction,
        seconds=seconds,
        ended=ended,
    )
