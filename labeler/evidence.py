"""What the Trust panel draws: pairs of confidence and truth, risk against coverage, the bound and the drift in time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from labeler.accepts import Answer
from labeler.certificate import ALPHA, Audited, bound, certified_threshold
from labeler.records import ImageState, Split
from labeler.trust import Trust

CHECKPOINTS = 60  # of the bound in time
GRID = np.round(np.arange(0.995, 0.295, -0.005), 3)  # thresholds that are tried, strict to loose
FEW_PAIRS = 8


@dataclass(frozen=True, slots=True)
class Evidence:
    """Series of the Trust panel; images by id, so that a mark opens its image.

    ``pairs``: (image id, confidence when it was labelled, IoU of that prediction with the label) of the holdout.
    ``history``: (audits answered, wrong ones left at most), at most 60 points. ``drift``: (image id, log capital).
    ``expected``: confidence and P(IoU < t) of the undecided images with a calibrated one, the surest first.
    """

    pairs: tuple[tuple[int, float, float], ...] = ()
    history: tuple[tuple[int, int], ...] = ()
    drift: tuple[tuple[int, float], ...] = ()
    expected: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    certified_threshold: float | None = None
    certified_share: float = 0.05
    is_calibrated: bool = False
    is_alarmed: bool = False

    def expected_wrong(self, threshold: float) -> float | None:
        """Mean P(IoU < t) of what a threshold accepts; None where no calibrated confidence is above it."""
        chosen = self.expected[self.expected[:, 0] >= threshold]
        return float(chosen[:, 1].mean()) if len(chosen) else None


def risk_coverage(pairs: Sequence[tuple[int, float, float]], *, below: float) -> list[tuple[float, float]]:
    """(share of the pairs accepted, share of wrong ones among them), from the surest on."""
    ordered = sorted(pairs, key=lambda pair: -pair[1])
    wrong = np.cumsum([iou < below for _, _, iou in ordered])
    return [((n + 1) / len(ordered), float(wrong[n]) / (n + 1)) for n in range(len(ordered))]


def evidence_of(trust: Trust) -> Evidence:
    """Everything that the panel draws, read from the catalogue; some milliseconds for each thousand images."""
    project = trust.project
    pairs = tuple(
        (label.image_id, label.confidence, label.iou)
        for label in project.labels(split=Split.HOLDOUT)
        if label.confidence is not None and label.iou is not None
    )
    epoch = project.accepts.epoch()
    return Evidence(
        pairs=pairs,
        history=tuple(_history(trust)),
        drift=tuple(trust.drift()),
        expected=_expected(trust),
        certified_threshold=_certified(trust, pairs, below=epoch.below if epoch else 0.8075),
        is_calibrated=trust.is_calibrated,
        is_alarmed=trust.is_alarmed,
    )


def _expected(trust: Trust) -> NDArray[np.float64]:
    states = (ImageState.ACCEPTED, ImageState.QUEUED)
    found = [
        (record.confidence, record.signals["wrong"])
        for state in states
        for record in trust.project.images(state=state)
        if record.confidence is not None and "wrong" in record.signals
    ]
    return np.array(sorted(found, reverse=True), float).reshape(-1, 2)


def _certified(trust: Trust, pairs: Sequence[tuple[int, float, float]], *, below: float) -> float | None:
    """G2 on the probes: what else is in the holdout came from the queue and is no sample of the stream."""
    probes = {record.image_id for record in trust.project.images(state=ImageState.LABELLED) if record.probe}
    drawn = [pair for pair in pairs if pair[0] in probes]
    if len(drawn) < FEW_PAIRS:
        return None
    scores = np.array([confidence for _, confidence, _ in drawn])
    wrong = np.array([iou < below for _, _, iou in drawn])
    return certified_threshold(scores, wrong, share=Evidence().certified_share, grid=list(GRID))


def _history(trust: Trust) -> list[tuple[int, int]]:
    """The bound after each of some audits, each with the accept events and answers that there were by then."""
    accepts = trust.project.accepts
    audits = [audit for audit in accepts.audits() if audit.repeat_of is None]
    events = accepts.events()
    if not audits or not events:
        return []
    rates = {epoch.number: epoch.rate for epoch in accepts.epochs()}
    created = [event.created for event in events]
    shown = np.unique(np.linspace(0, len(audits) - 1, CHECKPOINTS).astype(int))
    found = []
    for last in shown:
        known = {audit.accept_id: audit.answer for audit in audits[: last + 1]}
        then = events[: bisect_right(created, audits[last].created)]
        parts = []
        for number, rate in rates.items():
            heads = [event for event in then if event.epoch == number and event.coin]
            accepted = sum(event.epoch == number for event in then)
            wrong = sum(known.get(event.accept_id) is Answer.WRONG for event in heads)
            unfinished = sum(event.accept_id not in known for event in heads)
            if accepted:
                parts.append(Audited(accepted, len(heads), wrong, unfinished, rate, number))
        found.append((int(last) + 1, bound(parts, alpha=ALPHA, missed=trust.project.settings.audit_missed).left))
    return found
