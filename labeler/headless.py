"""What a window does in the background, driven from the command line: take up a stream, predict, train."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from labeler.inference import Predictor, looks_of_files, predict_files
from labeler.loop import Loop, RoundOutcome
from labeler.project import Project
from labeler.records import Progress, StreamItem, UnreadableItem
from labeler.stream import parse_source, scan
from labeler.training import run_round

TAKEN_AT_ONCE = 64  # files in one transaction of the catalogue


@dataclass(frozen=True, slots=True)
class Intake:
    """What a scan has brought: files seen for the first time, and what they were."""

    seen: int
    added: int
    unreadable: tuple[UnreadableItem, ...]

    @property
    def duplicates(self) -> int:
        """Files whose content was known already, also at another path."""
        return self.seen - self.added


def take_up(project: Project, sources: Sequence[str]) -> Generator[Progress, None, Intake]:
    """Add all that is in ``sources`` now to the project, in small transactions."""
    seen = added = 0
    unreadable: list[UnreadableItem] = []
    for source in sources:
        batch: list[StreamItem | UnreadableItem] = []
        for item in scan(parse_source(source), known=project.known_paths(), frames_folder=project.frames_folder):
            batch.append(item)
            seen += 1
            if isinstance(item, UnreadableItem):
                unreadable.append(item)
            if len(batch) >= TAKEN_AT_ONCE:
                added += len(project.add(batch))
                batch.clear()
            yield Progress("reading images", seen, 0)
        added += len(project.add(batch))
    return Intake(seen, added, tuple(unreadable))


class Forecaster:
    """Predicts what waits, with one model in memory until another one is published."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self._predictor: Predictor | None = None

    def predict_waiting(self, *, sweep: bool = True) -> Generator[Progress, None, int]:
        """Predict and gate queue and pool, then (``sweep``) what older models accepted; returns how many images."""
        done = 0
        while (looks := self.loop.looks_job()) is not None:
            for looked in looks_of_files(looks):
                self.loop.record(looked)
                done += len(looked)
                yield Progress("looking", done, 0)
        done = 0
        while (job := self.loop.prediction_job(sweep=sweep)) is not None:
            if self._predictor is None or self._predictor.version != job.version:
                self._predictor = Predictor.load(
                    job.model_path, version=job.version, sha256=job.model_sha256, device=job.device
                )
            for results in predict_files(job, self._predictor):
                self.loop.record(results)
                done += len(results)
                counts = self.loop.project.counts()
                yield Progress("predicting", done, 0, {"accepted": counts.accepted, "queued": counts.queued})
        return done


def train_once(loop: Loop, *, from_scratch: bool = False) -> Generator[Progress, None, RoundOutcome]:
    """One round on the core as it is now, recorded whatever becomes of it."""
    job = loop.freeze_round(from_scratch=from_scratch)
    try:
        result = yield from run_round(job)
    except GeneratorExit:
        loop.fail_round(job, "stopped")
        raise
    except Exception as error:
        loop.fail_round(job, str(error))
        raise
    return loop.finish_round(job, result)
