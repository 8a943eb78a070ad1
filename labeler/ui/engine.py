"""What the compute lane runs. Every method is a generator whose steps happen on the lane's thread.

torch is imported here and nowhere else in the window, and only when the lane takes its first step: the window is
visible before that.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from labeler.records import Image, PredictionRecord, Progress

if TYPE_CHECKING:
    from labeler.inference import FailedImage, Look, LooksJob, PredictionJob, Predictor
    from labeler.training import RoundResult, TrainingJob

SPARE_CORES = 1  # left to the window, whatever trains


class Engine:
    """Prediction and training with one predictor kept in memory; only the lane's thread touches it."""

    def __init__(self) -> None:
        self._predictor: Predictor | None = None
        self._key: tuple[object, ...] = ()

    def warm_up(self) -> Generator[None, None, None]:
        """Import what computes, a module a step, so that the first project opens at once."""
        import torch  # noqa: F401 -- seconds, and the reason for this method

        yield
        import labeler.loop

        yield
        import labeler.inference
        import labeler.training  # noqa: F401

    def predict(
        self, job: PredictionJob, *, threads: int
    ) -> Generator[list[PredictionRecord | FailedImage], None, None]:
        """Predict the images of a job, a small batch a step."""
        from labeler import device, inference

        device.set_threads(threads, spare=SPARE_CORES)
        return (yield from inference.predict_files(job, self._predictor_of(job)))

    def heat(self, job: PredictionJob, image: Image, *, threads: int) -> Generator[None, None, NDArray[np.uint8]]:
        """Where views of an image disagree for the model of a job, (H, W), 0..255; a view a step."""
        from labeler import device

        device.set_threads(threads, spare=SPARE_CORES)
        return (yield from self._predictor_of(job).heat(image))

    def look(self, job: LooksJob) -> Generator[list[Look | FailedImage], None, None]:
        """Look at the images of a job without a model, a small batch a step."""
        from labeler import inference

        return (yield from inference.looks_of_files(job))

    def train(self, job: TrainingJob, *, threads: int) -> Generator[Progress | None, None, RoundResult]:
        """One round; progress at most ten times a second, the steps between give None."""
        from labeler import device, training

        device.set_threads(threads, spare=SPARE_CORES)
        return (yield from thinned(training.run_round(job)))

    def _predictor_of(self, job: PredictionJob) -> Predictor:
        """The predictor of a job's model, loaded when it is another one than last time."""
        from labeler.inference import Predictor

        key = (job.model_path, job.model_sha256, job.version, job.device)
        if self._predictor is None or self._key != key:
            self._predictor = None  # two nets at once may be more than a GPU holds
            self._predictor = Predictor.load(
                job.model_path, version=job.version, sha256=job.model_sha256, device=job.device
            )
            self._key = key
        return self._predictor


def thinned(
    steps: Generator[Progress, None, RoundResult], *, period_s: float = 0.1
) -> Generator[Progress | None, None, RoundResult]:
    """The same steps, but None for those that come within ``period_s`` of the last one of their phase.

    Figures of the steps left out are kept and travel with the next one that is not.
    """
    held: dict[str, float] = {}
    phase, spoken = "", -math.inf
    try:
        while True:
            try:
                progress = next(steps)
            except StopIteration as end:
                result: RoundResult = end.value
                return result
            held |= progress.metrics
            if progress.phase != phase or time.monotonic() - spoken >= period_s:
                yield replace(progress, metrics=held)
                held = {}
                phase, spoken = progress.phase, time.monotonic()
            else:
                yield None
    finally:
        steps.close()
