"""A simulated person at work on a project: answers queries, trains when a round is due, predicts what waits."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Protocol

from labeler.errors import MaskError
from labeler.headless import Forecaster, train_once
from labeler.loop import Loop, RoundOutcome
from labeler.records import ImageRecord, Mask, Progress


class Oracle(Protocol):
    """Who knows every answer."""

    def mask(self, record: ImageRecord) -> Mask:
        """The true mask (H, W) of one image; MaskError where there is none."""
        ...


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
class Budget:
    """What a simulated person may spend; None is without end. No label beyond ``labels`` is ever asked for."""

    labels: int | None = None
    minutes: float | None = None


@dataclass(slots=True)
class Clock:
    """Seconds of wall clock since ``started``, and what they went to."""

    training: float = 0.0
    prediction: float = 0.0
    started: float = field(default_factory=time.monotonic)
    before: float = 0.0  # spent by earlier runs of the same walk

    @property
    def total(self) -> float:
        """Seconds in all."""
        return self.before + time.monotonic() - self.started


class Walker:
    """Works on one project until nothing waits or the budget is spent."""

    def __init__(
        self,
        loop: Loop,
        oracle: Oracle,
        *,
        budget: Budget | None = None,
        order: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        """``order`` names the order of the queue; None leaves it to the loop."""
        self.loop, self.oracle = loop, oracle
        self.budget, self.order, self.clock = budget or Budget(), order, clock or Clock()
        self.forecaster = Forecaster(loop)
        self.number = len(loop.project.rounds())
        self._owed = self._was_cut_off()

    def _was_cut_off(self) -> bool:
        """Whether the last round that was started came to no model: nothing has learnt its labels, and none is due."""
        started = self.loop.project.events(kind="round_started", limit=1)
        return bool(started) and started[0].payload["version"] == self.loop.project.next_version()

    def work_off(self, *, sweep: bool = True) -> Generator[Progress | SimulatedRound, None, str]:
        """Predict, answer and train until nothing waits; returns why it ended.

        ``sweep``: when nothing waits, what older models accepted is predicted again, until nothing changes.
        """
        yield from self._predict(sweep=False)
        while True:
            yield from self._answer()
            if not self._round_due():
                if self.spent():
                    return self.spent()
                if sweep and (yield from self._predict(sweep=True)) and (self.loop.queue(limit=1) or self._round_due()):
                    continue
                return "nothing waits"
            yield (yield from self.round())
            if self._out_of_time():  # out of labels, what they are worth is still to be learnt
                return self._out_of_time()

    def round(self) -> Generator[Progress, None, SimulatedRound]:
        """One round and the prediction of what waits with its model, unless the next round is due already."""
        self.number, self._owed = self.number + 1, False
        before, begin = (self.clock.training, self.clock.prediction), time.monotonic()
        outcome = yield from train_once(self.loop)
        self.clock.training += time.monotonic() - begin
        if not self._round_due():
            yield from self._predict(sweep=False)
        return self._line(outcome, *before)

    def spent(self) -> str:
        """Which part of the budget is spent, in words; empty while there is some left."""
        if self._out_of_time() or self.left() != 0:
            return self._out_of_time()
        return f"{self.loop.project.counts().labelled} labels were made"

    def _out_of_time(self) -> str:
        if self.budget.minutes is None or self.clock.total < 60 * self.budget.minutes:
            return ""
        return f"{self.budget.minutes:g} minutes were spent"

    def left(self) -> int | None:
        """How many labels may still be asked for; None without end."""
        if self.budget.labels is None:
            return None
        return max(0, self.budget.labels - self.loop.project.counts().labelled)

    def _round_due(self) -> bool:
        """Also where the budget ends before a round is due by itself: its last labels shall count."""
        if self.loop.why_no_round():
            return False
        return self._owed or self.loop.round_due() or (self.left() == 0 and self.loop.new_labels > 0)

    def _answer(self) -> Generator[Progress, None, None]:
        """Answer queries until a round is due, nothing waits or the labels are spent."""
        settings = self.loop.project.settings
        while not self._round_due() and self.left() != 0:
            # In queue order, as many as the next round still needs: the order does not change between publications.
            wanted, left = max(1, self.loop.labels_until_round), self.left()
            batch = self.queue(limit=wanted if left is None else min(wanted, left))
            if not batch:
                return
            for record in batch:
                self.answer(record)
            first = "first labels" if self.loop.project.champion() is None else "labelling"
            counts = self.loop.project.counts()
            yield Progress(first, counts.labelled, settings.first_labels if first == "first labels" else 0)

    def queue(self, *, limit: int) -> list[ImageRecord]:
        """The next queries."""
        return self.loop.queue(limit=limit) if self.order is None else self.loop.queue(order=self.order, limit=limit)

    def answer(self, record: ImageRecord) -> None:
        """Commit the truth about one image; without one it is excluded by name."""
        try:
            self.loop.commit(record.image_id, self.oracle.mask(record))
        except MaskError as error:
            self.loop.exclude(record.image_id, str(error))

    def _predict(self, *, sweep: bool) -> Generator[Progress, None, int]:
        begin = time.monotonic()
        predicted = yield from self.forecaster.predict_waiting(sweep=sweep)
        self.clock.prediction += time.monotonic() - begin
        return predicted

    def _line(self, outcome: RoundOutcome, training: float, prediction: float) -> SimulatedRound:
        counts = self.loop.project.counts()
        return SimulatedRound(
            number=self.number,
            version=outcome.version,
            published=outcome.published,
            core=counts.core,
            holdout=counts.holdout,
            accepted=counts.accepted,
            queued=counts.queued,
            pool=counts.pool,
            holdout_iou=outcome.holdout_iou,
            champion_iou=outcome.champion_iou,
            training_seconds=self.clock.training - training,
            prediction_seconds=self.clock.prediction - prediction,
        )
