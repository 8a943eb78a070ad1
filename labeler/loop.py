"""The loop: predict, gate, query, commit, retrain, publish. No Qt, no thread: every step is a call.

Decisions and rows are made here, on the caller's thread; heavy work leaves as a frozen job and returns as records.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from labeler import checkpoint
from labeler.dataset import Sample
from labeler.errors import CheckpointError, ProjectError, TrainingError
from labeler.files import prediction_paths, sha256_of_file
from labeler.inference import FailedImage, JobImage, Look, LooksJob, PredictionJob
from labeler.project import Project
from labeler.records import (
    ROUND_CLOSED,
    Counts,
    ImageRecord,
    ImageState,
    LabelOrigin,
    LabelRecord,
    Mask,
    PredictionRecord,
    Split,
    VersionRecord,
    VersionStatus,
)
from labeler.training import RoundResult, TrainingJob
from labeler.trust import Trust
from labeler.verdict import is_published, mean, sentence
from labeler.waiting import COMPARED, CONSIDERED, Queue

NEVER = math.inf  # a threshold that no confidence reaches
# Of the core at the last long round: worth another one while hardly anything waits. A short round from a good
# model gains little and may lose: after one label more, ships with triangles below an IoU of 0.90 were 13 instead of 1.
GROWN = 1.05
# Accepted masks from which on a long round learns them too, and how many at most. Nearly all of the accepted must be
# as good as labels: with 297 nuclei, 12 % of them wrong and a mean confidence of 0.89, the next model was no better.
FEWEST_ACCEPTED, MOST_ACCEPTED = 50, 2000
SURE, NEARLY_ALL = 0.93, 0.9
LONG_ROUNDS = 3  # the first and two on its accepted masks; after them only a larger core is worth another one
CORE_OF_ITS_OWN = 4  # of ``first_labels``: the core that is worth more than what an adopted model has learnt elsewhere


@dataclass(frozen=True, slots=True)
class RoundOutcome:
    """What became of a round, in figures and in words."""

    version: int
    published: bool
    holdout_iou: float | None
    champion_iou: float | None
    sentence: str
    duels: tuple[tuple[int, float, float], ...] = ()  # image_id, champion's and challenger's IoU; of the holdout


@dataclass(frozen=True, slots=True)
class Status:
    """Every figure of the status strip; all are read from the catalogue."""

    counts: Counts
    threshold: float
    champion: int | None
    holdout_iou: float | None
    holdout_count: int
    new_labels: int
    labels_until_round: int
    first_labels: int
    wrong_at_most: int | None = None  # of the accept events, with 95 %; None where nothing was accepted
    audits_waiting: int = 0
    is_calibrated: bool = False
    is_alarmed: bool = False  # the stream has changed


class Loop:
    """A project's way from stream to core. The project must stay open as long as the loop is used."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.trust = Trust(project)
        self.in_hand: int | None = None  # the image in front of a person is never accepted behind their back
        self._queue = Queue(project, trained_mark=self._trained_mark)
        self._opened = max((event.event_id for event in project.events(limit=1)), default=0)  # the last event till now
        self._lost: set[int] = set()  # labelled images that could not be read: their labels stay

    # -- predictions ------------------------------------------------------------------------------------------

    def prediction_job(self, *, limit: int = 64, first: int | None = None, sweep: bool = True) -> PredictionJob | None:
        """What to predict next, ``first`` before all; None with no model or nothing left to predict.

        The queue first, then the core, which the queue's order compares with, then the pool. With ``sweep``, what an
        older model accepted comes last: the champion may think otherwise.
        """
        bare = self.bare_job()
        if bare is None:
            return None
        waiting = self.project.to_predict(bare.version, limit=limit, accepted=sweep)
        front = [record for record in waiting if record.image_id == first]
        if first is not None and not front and self._wants_prediction(first, bare.version):
            front = [self.project.image(first)]
        core = [] if len(front) >= limit else self._core_to_predict(bare.version)
        rest = sorted((record for record in (*waiting, *core) if record.image_id != first), key=_prediction_rank)
        items = tuple(map(_job_image, chain(front, rest)))
        return replace(bare, items=items[:limit]) if items else None

    def bare_job(self) -> PredictionJob | None:
        """A job of the champion without images, for what else it is asked; None with no model."""
        champion = self.project.champion()
        if champion is None:
            return None
        return PredictionJob(
            items=(),
            folder=self.project.predictions_folder,
            model_path=champion.path,
            model_sha256=champion.sha256,
            version=champion.version,
            device=self.project.settings.device,
            threshold=self.project.settings.threshold,
            grey_share=self.project.settings.grey_share,
            bundle=self.trust.bundle(),
            elders=self.trust.elders(),
        )

    def looks_job(self, *, limit: int = 64) -> LooksJob | None:
        """Images to look at before the first model, so that it starts from typical ones; None once there is one."""
        if self.project.champion() is not None:
            return None
        found = self.project.catalogue.without_looks(
            (ImageState.QUEUED, ImageState.POOL), among=CONSIDERED, limit=limit
        )
        return LooksJob(tuple(map(_job_image, found))) if found else None

    def _core_to_predict(self, version: int) -> list[ImageRecord]:
        core = self.project.catalogue.core_to_predict(version, most=COMPARED)
        return [record for record in core if record.image_id not in self._lost]

    def _wants_prediction(self, image_id: int, version: int) -> bool:
        record = self.project.image(image_id)
        return (
            record.state in (ImageState.POOL, ImageState.QUEUED, ImageState.ACCEPTED)
            and record.model_version != version
        )

    def record(self, results: Sequence[PredictionRecord | Look | FailedImage]) -> None:
        """Write predictions and looks down and gate; images that cannot be read any more are set apart."""
        for failed in results:
            if isinstance(failed, FailedImage):
                self._set_apart(failed)
        looks = [(item.image_id, item.embedding) for item in results if isinstance(item, Look)]
        if looks:
            self.project.catalogue.embeddings.add_looks(looks)
        champion = self.project.champion()
        records = [
            item
            for item in results
            if isinstance(item, PredictionRecord) and champion is not None and item.model_version == champion.version
        ]
        stands = self.trust.standing(records)
        records = self.trust.calibrated(records)
        held = {*self.project.drafts(), self.in_hand}
        free = [record for record in records if record.image_id not in held]
        self.project.record_predictions([r for r in records if r.image_id in held], threshold=NEVER, stands=stands)
        self.project.record_predictions(free, threshold=self.trust.threshold, stands=stands)
        self.trust.watch()

    def _set_apart(self, failed: FailedImage) -> None:
        if self.project.image(failed.image_id).state is ImageState.LABELLED:
            self._lost.add(failed.image_id)
        else:
            self.project.set_state(failed.image_id, ImageState.UNREADABLE, reason=failed.reason)

    def set_threshold(self, threshold: float) -> tuple[int, int]:
        """Gate again with another threshold: how many were newly accepted and newly queued."""
        changed = self.project.regate(threshold, in_force=self.trust.in_force(threshold))
        self.project.log("threshold", threshold=threshold, accepted=changed[0], queued=changed[1])
        return changed

    def go_on(self) -> tuple[int, int]:
        """A person has seen the alarm: what waited for its stricter gate alone is gated again."""
        self.trust.go_on()
        return self.set_threshold(self.project.settings.threshold)

    # -- queries ----------------------------------------------------------------------------------------------

    def queue(self, *, order: str = "", limit: int | None = None) -> list[ImageRecord]:
        """Images that wait for a person, in the order named (see ``acquisition``), else in that of the settings.

        Before the first model all images wait: some typical ones first, the others by lot.
        """
        return self.project.catalogue.images_of(self.waiting(order=order, limit=limit))

    def waiting(self, *, order: str = "", limit: int | None = None) -> list[int]:
        """The ids of ``queue``."""
        return self._queue.ids(order or self.project.settings.acquisition, limit=limit)

    def next_query(self, after: int | None = None, *, order: str = "") -> int | None:
        """The first image of the queue that is not ``after``; None where nothing waits."""
        return next((image_id for image_id in self.waiting(order=order, limit=2) if image_id != after), None)

    def opening_mask(self, image_id: int) -> Mask:
        """What the canvas opens with: the label, else the prediction, else nothing."""
        record = self.project.image(image_id)
        if record.origin is not None:
            return self.project.label_mask(image_id)
        prediction = self.project.prediction(image_id)
        return np.zeros((record.height, record.width), np.uint8) if prediction is None else prediction[0]

    # -- decisions of a person --------------------------------------------------------------------------------

    def commit(self, image_id: int, mask: Mask, *, seconds: float = 0.0) -> LabelRecord:
        """Make a person's mask final; how it came about and which split it joins is decided here."""
        prediction = self.project.prediction(image_id)
        looked = prediction is not None and np.array_equal(prediction[0], mask)
        origin = LabelOrigin.LOOKED if looked else LabelOrigin.CORRECTED
        label = self.project.commit_label(
            image_id, mask, origin=origin, split=self._split_of(image_id), seconds=seconds
        )
        self.trust.settle(label, mask)
        return label

    def _split_of(self, image_id: int) -> Split:
        image = self.project.image(image_id)
        if image.probe:
            return Split.HOLDOUT
        if image.state is ImageState.ACCEPTED:  # somebody chose it for what its mask looks like: it speaks for no other
            return Split.CORE
        counts = self.project.counts()
        return Split.HOLDOUT if (counts.labelled + 1) % self.project.settings.holdout_every == 0 else Split.CORE

    def skip(self, image_id: int) -> None:
        """Put an image behind the others of the queue."""
        self.project.skip(image_id)

    def exclude(self, image_id: int, reason: str = "") -> None:
        """Take an image out: neither predicted, nor trained on, nor exported."""
        self.project.set_state(image_id, ImageState.EXCLUDED, reason=reason)

    def restore(self, image_id: int) -> None:
        """Bring an excluded image back: to its label, else to be predicted again."""
        labelled = self.project.image(image_id).origin is not None
        self.project.set_state(image_id, ImageState.LABELLED if labelled else ImageState.POOL)

    # -- rounds -----------------------------------------------------------------------------------------------

    @property
    def new_labels(self) -> int:
        """Core labels made since the last round was started."""
        return self.project.count_labels(split=Split.CORE, after=self._last_mark())

    def _last_mark(self) -> int:
        """The newest label that a round was started with; one that ended with the program is still owed.

        But what was cut off twice in a row is not tried a third time by itself: it may be what the program died of.
        """
        started, ended = (self.project.events(kind=kind, limit=8) for kind in ("round_started", "round_ended"))
        upcoming, tries, why = self.project.next_version(), [], None
        for event in sorted([*started, *ended], key=lambda event: -event.event_id):
            if event.kind == "round_ended":
                why = str(event.payload["why"])
                continue
            mark = int(event.payload["label_id"])
            if event.event_id > self._opened or event.payload["version"] < upcoming or why not in (None, ROUND_CLOSED):
                return mark
            tries += [mark] if why is None else []
            if len(tries) == 2:
                return tries[0]
            why = None
        return 0

    def _trained_mark(self, champion: VersionRecord | None) -> int:
        """The newest label that the champion may have been trained on: a rejected round has taught it nothing."""
        rounds = self.project.events(kind="round_started")
        known = [
            event.payload["label_id"] for event in rounds if champion and event.payload["version"] == champion.version
        ]
        return int(known[-1]) if known else 0

    @property
    def labels_until_round(self) -> int:
        """How many more labels start the next round by their number alone."""
        settings, counts = self.project.settings, self.project.counts()
        if self.project.champion() is None and self._last_mark() == 0:
            return max(0, settings.first_labels - counts.labelled)
        wanted = max(settings.retrain_labels, math.ceil(settings.retrain_share * counts.core))
        return max(0, wanted - self.new_labels)

    def long_round_due(self) -> bool:
        """Whether the core has doubled since the last long round, or grown by a twentieth while hardly anything waits.

        What was learnt in haste is learnt anew: the first model too, while its queue is worked off. And once hardly
        anything waits, what the first long round has made of the stream is learnt too, and what comes of that.
        """
        settings, versions = self.project.settings, self.project.versions()
        if self.project.champion() is None or settings.long_steps == 0:
            return False
        long = _long(versions)
        known = max((version.core_count for version in long), default=0)
        # A round from nothing throws away what an adopted model brought: not before the core is large enough.
        adopted, counts = any("adopted" in version.metrics for version in versions), self.project.counts()
        if self._is_settled() and not adopted:
            return self._is_untaught(long) or counts.core >= GROWN * known
        return counts.core >= max(2 * known, CORE_OF_ITS_OWN * settings.first_labels if adopted else 1)

    def _is_settled(self) -> bool:
        """Whether hardly anything waits."""
        counts = self.project.counts()
        return counts.queued + counts.pool < self.project.settings.retrain_labels

    def _is_untaught(self, long: Sequence[VersionRecord]) -> bool:
        """Whether a champion of a ``long`` round has seen all there is, and accepted masks are still to be learnt."""
        made_so = any(version.status is VersionStatus.CHAMPION for version in long)
        return made_so and len(long) < LONG_ROUNDS and self.project.count_to_predict() == 0 and self._trusts_accepted()

    def _trusts_accepted(self) -> bool:
        """Whether accepted masks are worth learning: enough of them, and nearly all as good as labels."""
        if not self.project.settings.learn_accepted:
            return False
        wanted = max(FEWEST_ACCEPTED, NEARLY_ALL * self.project.counts().accepted)
        return self.project.catalogue.count_accepted(SURE) >= wanted

    def round_due(self) -> bool:
        """True where enough is new, or the queue is empty and something is, or the core has doubled."""
        if self.why_no_round():
            return False
        if self.long_round_due():
            return True
        if self.new_labels == 0:
            return False
        counts = self.project.counts()
        return self.labels_until_round == 0 or counts.queued + counts.pool == 0

    def why_no_round(self) -> str:
        """Why a round cannot be started at all, in words; empty where it can."""
        if self.project.counts().core == 0:
            return "Label an image first: a round needs at least one label in the core."
        return ""

    def freeze_round(self, *, from_scratch: bool = False) -> TrainingJob:
        """All that the next round needs, as it is now. TrainingError where there is no core.

        A long round starts from nothing, as every one with ``from_scratch``; but where hardly anything waits it goes
        on from the champion, with masks that the gate has accepted.
        """
        reason = self.why_no_round()
        if reason:
            raise TrainingError(reason)
        long = self.long_round_due()
        accepted = self._accepted_samples() if long and not from_scratch else ()
        core, holdout = self.project.labels(split=Split.CORE), self.project.labels(split=Split.HOLDOUT)
        champion, version = self.project.champion(), self.project.next_version()
        mark = self._trained_mark(champion)
        newest = max((label.label_id for label in chain(core, holdout)), default=0)
        self.project.log("round_started", version=version, label_id=newest, core=len(core), holdout=len(holdout))
        return TrainingJob(
            core=tuple(self._sample(label, mark) for label in core),
            holdout=tuple(self._sample(label, mark) for label in holdout),
            output=self.project.models_folder / f"{version:04d}.safetensors",
            settings=self.project.settings,
            seed=self.project.settings.seed + version,
            champion=None if champion is None else champion.path,
            champion_sha256=None if champion is None else champion.sha256,
            from_scratch=from_scratch or (long and not accepted),
            version=version,
            long=long,
            accepted=accepted,
        )

    def _accepted_samples(self) -> tuple[Sample, ...]:
        """Some of the masks that the gate has accepted and models of long rounds have made or bear out.

        None where they are few, or as long as more than a few images wait: then they are only the easy ones.
        """
        makers = {version.version for version in _long(self.project.versions())}
        if not makers or not self._is_settled() or not self._trusts_accepted():
            return ()
        folder = self.project.predictions_folder
        samples = tuple(
            Sample(image.path, prediction_paths(folder, image.image_id, image.model_version)[0], image.sha256, digest)
            for image, digest, version in self.project.catalogue.some_accepted(MOST_ACCEPTED)
            if version in makers and image.model_version is not None and (image.confidence or 0) >= SURE
        )
        return samples if len(samples) >= FEWEST_ACCEPTED else ()

    def _sample(self, label: LabelRecord, mark: int) -> Sample:
        image = self.project.image(label.image_id)
        return Sample(
            image.path,
            label.mask_path,
            image.sha256,
            label.mask_sha256,
            fresh=label.label_id > mark,
            seen=self.trust.probability_seen(label, probe=image.probe),
        )

    def finish_round(self, job: TrainingJob, result: RoundResult) -> RoundOutcome:
        """Record a round; publish its challenger unless the holdout speaks against it."""
        champion = self.project.champion()
        published = is_published(result, right_from=self.project.settings.wrong_below)
        ours, theirs = mean(result.challenger_ious), mean(result.champion_ious)
        self.project.add_version(
            result.path,
            sha256=result.sha256,
            parent=None if champion is None else champion.version,
            status=VersionStatus.RETIRED if published else VersionStatus.REJECTED,
            core_count=result.core_count,
            holdout_count=len(result.challenger_ious),
            holdout_iou=ours,
            core_iou=result.core_iou,
            metrics={
                "steps": result.steps,
                "seconds": round(result.seconds, 2),
                "notes": list(result.notes),
                "long": job.long,
                "accepted": result.accepted_count,
            },
            bundle="" if result.bundle is None else result.bundle.to_text(),
        )
        self._record_round(
            job, published=published, result=result, reason="" if published else "worse than the model before"
        )
        if published:
            self.project.set_champion(job.version)
        said = sentence(job.version, published, ours, theirs)
        return RoundOutcome(job.version, published, ours, theirs, said, self._duels(result))

    def _duels(self, result: RoundResult) -> tuple[tuple[int, float, float], ...]:
        if result.champion_ious is None:
            return ()
        images = {label.mask_path: label.image_id for label in self.project.labels()}
        judged = zip(result.judged, result.champion_ious, result.challenger_ious, strict=True)
        return tuple((images[path], theirs, ours) for path, theirs, ours in judged if path in images)

    def fail_round(self, job: TrainingJob, why: str) -> None:
        """Record that a round was given up or stopped; the champion stays."""
        self._record_round(job, published=False, result=None, reason=why)
        self.project.log("round_ended", version=job.version, why=why)

    def _record_round(self, job: TrainingJob, *, published: bool, result: RoundResult | None, reason: str) -> None:
        self.project.record_round(
            seconds=0.0 if result is None else result.seconds,
            steps=0 if result is None else result.steps,
            core_count=len(job.core),
            version=None if result is None else job.version,
            published=published,
            champion_iou=None if result is None else mean(result.champion_ious),
            challenger_iou=None if result is None else mean(result.challenger_ious),
            reason=reason,
        )

    def rollback(self, version: int) -> None:
        """Make an older version (or a rejected one) the champion; queue and pool are predicted again."""
        known = {record.version: record for record in self.project.versions()}
        if version not in known:
            raise ProjectError(f"there is no model version {version}; `labeler models` lists them")
        if sha256_of_file(known[version].path) != known[version].sha256:
            raise CheckpointError(f"{known[version].path}: damaged; choose another version")
        self.project.set_champion(version)

    def adopt_model(self, path: Path) -> VersionRecord:
        """Start from a model file: a copy becomes a version and the champion. CheckpointError where it cannot be."""
        found = checkpoint.load(path)
        classes = len(self.project.settings.classes)
        if found.config.classes != classes:
            raise CheckpointError(
                f"{path}: made for {found.config.classes} classes, the project has {classes}; choose another model, or "
                "start without one"
            )
        version = self.project.next_version()
        place = self.project.models_folder / f"{version:04d}.safetensors"
        digest = checkpoint.save(place, found)
        self.project.add_version(
            place,
            sha256=digest,
            parent=None,
            status=VersionStatus.RETIRED,
            core_count=0,
            holdout_count=0,
            holdout_iou=None,
            core_iou=None,
            metrics={"adopted": path.name},
        )
        self.project.set_champion(version)
        return next(record for record in self.project.versions() if record.version == version)

    # -- status -----------------------------------------------------------------------------------------------

    def status(self) -> Status:
        """The figures of the status strip."""
        champion, found = self.project.champion(), self.trust.summary()
        return Status(
            counts=self.project.counts(),
            threshold=self.project.settings.threshold,
            champion=None if champion is None else champion.version,
            holdout_iou=None if champion is None else champion.holdout_iou,
            holdout_count=0 if champion is None else champion.holdout_count,
            new_labels=self.new_labels,
            labels_until_round=self.labels_until_round,
            first_labels=self.project.settings.first_labels,
            wrong_at_most=min(found.whole.left, found.whole.accepted) if found.whole.accepted else None,
            audits_waiting=found.pending,
            is_calibrated=self.trust.is_calibrated,
            is_alarmed=self.trust.is_alarmed,
        )


def _long(versions: Sequence[VersionRecord]) -> list[VersionRecord]:
    return [version for version in versions if version.metrics.get("long")]


def _job_image(record: ImageRecord) -> JobImage:
    accepted = record.state is ImageState.ACCEPTED
    return JobImage(record.image_id, record.path, record.sha256, record.model_version, accepted)


def _prediction_rank(record: ImageRecord) -> int:
    return (ImageState.QUEUED, ImageState.LABELLED, ImageState.POOL, ImageState.ACCEPTED).index(record.state)
