"""How far a project's accepted masks can be trusted: the calibrated gate, audits, drift, and the certificate."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from labeler.accepts import Accept, Answer, Audit
from labeler.bundle import Bundle
from labeler.cascade import figures_of, stands, uncalibrated
from labeler.certificate import ALPHA, Audited, Bound, bound, frozen_wrong_at_most, strata_bounds
from labeler.drift import Watch
from labeler.errors import MaskError
from labeler.files import prediction_paths, sha256_of_file
from labeler.masks import load
from labeler.metrics import mean_iou
from labeler.project import Project
from labeler.records import Elder, LabelOrigin, LabelRecord, Mask, PredictionRecord, VersionStatus

STRICTEST = 0.95  # confidence that the gate asks for while the alarm lasts
ALARM_FACTOR = 4  # audits while the alarm lasts, beside those before
LAG_S = 2.0  # between two counts of all accept events, some 50 ms for 1e5 of them
ELDERS = 3  # snapshots of the last rounds that a GPU asks too
REPEAT_EVERY = 15  # of the audits shown, one in so many is a blind repeat


@dataclass(frozen=True, slots=True)
class Certificate:
    """G1 over all accept events now; ``whole`` at ``alpha``, ``strata`` together at ``alpha``."""

    whole: Bound
    strata: dict[str, Bound]
    rate: float
    below: float
    missed: float
    pending: int
    repeats: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Frozen:
    """G1' on a set that no round has changed: of ``accepted`` masks ``audits`` were drawn and judged, ``wrong`` found.

    With probability 1 - alpha at most ``left`` wrong ones are left, for one look when the audits are through.
    """

    accepted: int
    audits: int
    wrong: int
    left: int


@dataclass(frozen=True, slots=True)
class Attention:
    """How a person has looked: median seconds of an audit and of a model's mask in the queue, and how many of those
    ``shown`` were ``changed``. None where there was none."""

    audit_s: float | None
    mask_s: float | None
    shown: int
    changed: int


class Trust:
    """The gate's conscience; holds nothing that the project's catalogue does not tell."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._bundle: Bundle | None = None
        self._bundle_of: tuple[int, str] = (0, "")
        self._watch: Watch | None = None
        self._watched = 0  # the last sight that was bet on
        self._unaudited = 0  # since the last blind repeat
        self._summary: Certificate | None = None
        self._summary_of = (0, 0, 0)
        self._summed = -math.inf  # time.monotonic() of the summary

    # The gate

    def bundle(self) -> Bundle | None:
        """What goes with the champion; None where it has nothing, or nothing that can be read."""
        champion = self.project.champion()
        if champion is None:
            return None
        if self._bundle_of != (champion.version, champion.sha256):
            self._bundle_of = champion.version, champion.sha256
            try:
                self._bundle = Bundle.from_text(champion.bundle) if champion.bundle else None
            except ValueError as error:
                self._bundle = None
                self.project.log("bundle unreadable", version=champion.version, reason=str(error))
        return self._bundle

    def elders(self) -> tuple[Elder, ...]:
        """The versions that were in use before the champion, the newest first."""
        champion = self.project.champion()
        retired = [version for version in self.project.versions() if version.status is VersionStatus.RETIRED]
        before = sorted(
            (version for version in retired if champion is not None and version.version < champion.version),
            key=lambda version: -version.version,
        )
        return tuple(Elder(version.version, version.path, version.sha256) for version in before[:ELDERS])

    @property
    def is_calibrated(self) -> bool:
        """Whether a confidence is more than what the model says of itself."""
        bundle = self.bundle()
        return bundle is not None and bundle.calibrator is not None

    def calibrated(self, records: Sequence[PredictionRecord]) -> list[PredictionRecord]:
        """The records with calibrated IoU for a confidence and the signal ``wrong``, P(IoU < t).

        Without a calibrator what the model itself says, less for images of a kind that it does not know; and nobody
        trusts an empty prediction before an image was labelled empty.
        """
        bundle = self.bundle()
        if bundle is not None and bundle.calibrator is not None:
            estimates = bundle.calibrator.estimate([figures_of(record) for record in records])
            return [
                replace(record, confidence=estimate.iou, signals={**record.signals, "wrong": estimate.wrong})
                for record, estimate in zip(records, estimates, strict=True)
            ]
        trusts_empty = self.project.has_empty_label()
        return [
            replace(record, confidence=0.0)
            if record.foreground == 0 and not trusts_empty
            else replace(record, confidence=uncalibrated(figures_of(record)))
            for record in records
        ]

    @property
    def threshold(self) -> float:
        """What the gate asks for now: the setting, or more while the alarm lasts."""
        return self.in_force(self.project.settings.threshold)

    def in_force(self, threshold: float) -> float:
        """What the gate makes of a threshold now."""
        return max(threshold, STRICTEST) if self.is_alarmed else threshold

    def standing(self, records: Iterable[PredictionRecord]) -> set[int]:
        """Images whose stored mask the new prediction bears out, so that it stands if it is an accepted one."""
        return {record.image_id for record in records if stands(record)}

    def probability_seen(self, label: LabelRecord, *, probe: bool) -> float:
        """How likely an image like this one was to come to the holdout: a probe's coin, or the queue's turn as well."""
        share, turn = self.project.settings.probe_share, 1 / self.project.settings.holdout_every
        accepted = label.confidence is not None and label.confidence >= self.project.settings.threshold
        if probe and accepted and share > 0:
            return share
        return share + (1 - share) * turn

    # Drift

    @property
    def is_alarmed(self) -> bool:
        """Whether the stream has changed and nobody has said yet to go on."""
        epoch = self.project.accepts.epoch()
        return epoch is not None and epoch.alarm

    def watch(self) -> bool:
        """Bet on what came since the last time; True where the alarm has just gone off."""
        if self._watch is None:
            self._watch, self._watched = Watch(), self._quiet_until()
        for sight_id, _, version, score in self.project.accepts.sights(after=self._watched):
            self._watch.observe(version, score, _tie(sight_id))
            self._watched = sight_id
        if self.is_alarmed or not self._watch.alarmed:
            return False
        rate = min(1.0, ALARM_FACTOR * self.project.settings.audit_share)
        self.project.log("drift", sight=self._watched, log_capital=round(self._watch.log_capital, 3))
        self.project.accepts.begin_epoch(rate=rate, below=self.project.settings.wrong_below, reason="drift", alarm=True)
        return True

    def go_on(self) -> None:
        """A person has seen the alarm: the threshold and the audits are as before, and the watch starts anew."""
        settings = self.project.settings
        sights = self.project.accepts.sights(after=self._quiet_until())
        self.project.log("go on", sight=sights[-1][0] if sights else self._quiet_until())
        self.project.accepts.begin_epoch(rate=settings.audit_share, below=settings.wrong_below, reason="go on")
        self._watch = None

    def drift(self) -> list[tuple[int, float]]:
        """(image id, log capital) after each first sight since the last "go on", in the order of arrival."""
        watch = Watch()
        return [
            (image_id, watch.observe(version, score, _tie(sight_id)))
            for sight_id, image_id, version, score in self.project.accepts.sights(after=self._quiet_until())
        ]

    def _quiet_until(self) -> int:
        said = self.project.events(kind="go on", limit=1)
        return int(said[0].payload["sight"]) if said else 0

    # Audits

    def next_audit(self, *, repeats: bool = True, but: Set[int] = frozenset()) -> Accept | None:
        """The next mask to show blind, none of the images ``but``, or None.

        Now and then (``repeats``) it is one that was shown before.
        """
        if repeats and self._unaudited + 1 >= REPEAT_EVERY and (again := self._repeatable()) is not None:
            return again
        waiting = (accept for accept in self.project.accepts.pending() if accept.image_id not in but)
        return next((accept for accept in waiting if self.audit_mask(accept) is not None), None)

    def _repeatable(self) -> Accept | None:
        answered = self.project.accepts.audits()
        repeated = {audit.accept_id for audit in answered if audit.repeat_of is not None}
        for audit in answered[:-REPEAT_EVERY]:
            accept = self.project.accepts.accept(audit.accept_id)
            if audit.accept_id not in repeated and accept is not None and self.audit_mask(accept) is not None:
                return accept
        return None

    def audit_mask(self, accept: Accept) -> Mask | None:
        """The mask that was accepted; None where its file is lost: then its audit stays unfinished, which counts."""
        path, _ = prediction_paths(self.project.predictions_folder, accept.image_id, accept.model_version)
        try:
            if sha256_of_file(path) != accept.mask_sha256:
                return None
            return load(path)
        except (OSError, MaskError):
            return None

    def answer(self, accept: Accept, answer: Answer, *, seconds: float) -> Audit:
        """What a person said of a mask; a wrong one leaves the accepted ones and waits to be mended."""
        audit = self.project.accepts.answer(accept, answer, seconds=seconds)
        self._unaudited = 0 if audit.repeat_of is not None else self._unaudited + 1
        return audit

    def settle(self, label: LabelRecord, mask: Mask) -> None:
        """A person has labelled an image: that answers its open audits, and mends what audits found wrong."""
        below, classes = self.project.settings.wrong_below, len(self.project.settings.classes)
        accepts = self.project.accepts
        for accept in accepts.of_image(label.image_id):
            if not accept.coin or accepts.audits(accept.accept_id):
                continue
            accepted = self.audit_mask(accept)
            if accepted is not None:
                right = mean_iou(accepted, mask, classes=classes) >= below
                accepts.answer(accept, Answer.RIGHT if right else Answer.WRONG, seconds=0.0)
        accepts.mended(label.image_id, label.label_id)

    # The certificate

    def summary(self) -> Certificate:
        """The certificate for the status strip; while masks are being accepted it lags by a second or two."""
        mark = self.project.accepts.mark()
        answered = mark[1:] != self._summary_of[1:]
        if self._summary is None or answered or (mark != self._summary_of and time.monotonic() - self._summed > LAG_S):
            self._summary, self._summary_of = self.certificate(), mark
            self._summed = time.monotonic()
        return self._summary

    def certificate(self, *, alpha: float = ALPHA) -> Certificate:
        """The bound as it is now; it may be looked at as often as one likes."""
        settings, accepts = self.project.settings, self.project.accepts
        tallies, epoch = accepts.tallies(), accepts.epoch()
        missed = settings.audit_missed
        names = sorted(tallies)
        bounds = strata_bounds([tallies[name] for name in names], alpha=alpha, missed=missed) if names else []
        return Certificate(
            whole=bound(_pooled(tallies.values()), alpha=alpha, missed=missed),
            strata=dict(zip(names, bounds, strict=True)),
            rate=settings.audit_share if epoch is None else epoch.rate,
            below=settings.wrong_below if epoch is None else epoch.below,
            missed=missed,
            pending=accepts.count_pending(),
            repeats=accepts.agreement(),
        )

    def frozen(self, *, alpha: float = ALPHA) -> Frozen | None:
        """G1' over the accept events; None unless one model made all of them, with one coin, and all are answered.

        Then what the coins have drawn is a plain random sample of their number, whatever that number is.
        """
        parts = [part for parts in self.project.accepts.tallies().values() for part in parts]
        versions = self.project.accepts.versions()
        if len({part.epoch for part in parts}) != 1 or len(versions) != 1 or any(part.unfinished for part in parts):
            return None
        accepted, heads, wrong = (sum(getattr(part, name) for part in parts) for name in ("accepted", "heads", "wrong"))
        most = frozen_wrong_at_most(wrong, audits=heads, accepted=accepted, alpha=alpha)
        return Frozen(accepted, heads, wrong, most - wrong)

    def attention(self) -> Attention:
        """How long the person has looked, and how often they have changed what they were shown."""
        audits = [audit.seconds for audit in self.project.accepts.audits() if audit.seconds > 0]
        shown = [label for label in self.project.labels() if label.model_version is not None]
        looks = [label.seconds for label in shown if label.seconds > 0]
        return Attention(
            audit_s=median(audits) if audits else None,
            mask_s=median(looks) if looks else None,
            shown=len(shown),
            changed=sum(label.origin is LabelOrigin.CORRECTED for label in shown),
        )


def _pooled(strata: Iterable[Sequence[Audited]]) -> list[Audited]:
    """The counts of each epoch over all strata."""
    epochs: dict[int, Audited] = {}
    for part in (part for parts in strata for part in parts):
        known = epochs.get(part.epoch)
        epochs[part.epoch] = (
            part
            if known is None
            else Audited(
                known.accepted + part.accepted,
                known.heads + part.heads,
                known.wrong + part.wrong,
                known.unfinished + part.unfinished,
                part.rate,
                part.epoch,
            )
        )
    return [epochs[number] for number in sorted(epochs)]


def _tie(sight_id: int) -> float:
    """Uniform in 0..1, the same each time the sights are gone through."""
    return int.from_bytes(hashlib.sha256(b"tie%d" % sight_id).digest()[:8], "big") / 2**64


@dataclass(frozen=True, slots=True)
class Bin:
    """Mean confidence and IoU of some pairs, half of the 95 % interval of the latter, and which pairs they are."""

    confidence: float
    iou: float
    half: float
    members: tuple[int, ...]


def reliability(confidences: Sequence[float], ious: Sequence[float], *, bins: int = 8) -> list[Bin]:
    """Equally filled bins of the pairs, for a plot."""
    order = np.argsort(confidences)
    found = []
    for part in np.array_split(order, min(bins, max(1, len(order) // 4))):
        if len(part):
            values = np.asarray(ious, float)[part]
            half = 1.96 * float(values.std(ddof=1)) / math.sqrt(len(part)) if len(part) > 1 else 1.0
            middle = float(np.asarray(confidences, float)[part].mean())
            found.append(Bin(middle, float(values.mean()), half, tuple(map(int, part))))
    return found
