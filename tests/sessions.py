"""What the tests of the session share: a fake engine at the seam where computing would be slow, and pictures."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from labeler.files import sha256_of
from labeler.inference import PredictionJob, store
from labeler.records import Prediction, PredictionRecord, Progress
from labeler.training import RoundResult, TrainingJob
from labeler.ui.engine import Engine

SIDE = 48


def make_images(folder: Path, count: int, *, first: int = 0) -> Path:
    """A folder of small pictures, each different."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        PillowImage.fromarray(pixels).save(folder / f"{number:03d}.png")
    return folder


def square(*, side: int = 10) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A mask with one square."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[5 : 5 + side, 5 : 5 + side] = 1
    return mask


class FakeEngine(Engine):
    """Answers at once: image n has the confidence n / 10 (modulo 1), every round gives the IoUs it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds: list[TrainingJob] = []
        self.holdout_iou = 0.9
        self.train_steps = 3
        self.train_error: Exception | None = None
        self.predict_errors: dict[int, Exception] = {}  # by model version
        self.gate = threading.Event()  # a round waits for it before its last step
        self.gate.set()
        self.closed: list[str] = []

    def warm_up(self) -> Iterator[None]:  # type: ignore[override]
        yield None

    def predict(self, job: PredictionJob, *, threads: int) -> Generator[list[PredictionRecord], None, None]:  # type: ignore[override]
        if job.version in self.predict_errors:
            raise self.predict_errors[job.version]
        for item in job.items:
            mask = square()
            confidence = item.image_id % 10 / 10
            answer = Prediction(mask, (mask * 200).astype(np.uint8), confidence, confidence, 1.0, float(mask.mean()))
            yield [store(job.folder, item.image_id, job.version, answer)]

    def train(self, job: TrainingJob, *, threads: int) -> Generator[Progress | None, None, RoundResult]:
        self.rounds.append(job)
        try:
            for step in range(self.train_steps):
                yield Progress("training", step + 1, self.train_steps, {"loss": 1.0 / (step + 1)})
            while not self.gate.wait(0.002):
                yield None
            if self.train_error is not None:
                raise self.train_error
        except GeneratorExit:
            self.closed.append("closed")
            raise
        job.output.write_bytes(b"weights of %d" % job.version)
        return RoundResult(
            path=job.output,
            sha256=sha256_of(job.output.read_bytes()),
            core_iou=0.95,
            core_count=len(job.core),
            judged=tuple(sample.mask_path for sample in job.holdout),
            challenger_ious=tuple(self.holdout_iou for _ in job.holdout),
            champion_ious=None if job.champion is None else tuple(0.8 for _ in job.holdout),
            steps=self.train_steps,
            seconds=0.1,
        )
