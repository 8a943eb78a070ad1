"""What the Trust panel draws: pairs of confidence and truth, risk against coverage, the bound and the drift in time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
    ``history``: (audits answered, wrong ones left at most, image id of the last of them), at most 60 points.
    ``drift``: (image id, log capital).
    """

    pairs: tuple[tuple[int, float, float], ...] = ()
    history: tuple[tuple[int, int, int], ...] = ()
    drift: tuple[tuple[int, float], ...] = ()
    certified_threshold: float | None = None
    certified_share: float = 0.05
    is_calibrated: bool = False
    is_alarmed: bool = False


def risk_coverage(pairs: Sequence[tuple[int, float, float]], *, below: float) -> list[tuple[float, float, int]]:
    """(share of the pairs accepted, share of wrong ones among them, image id of the last one), from the surest on."""
    ordered = sorted(pairs, key=lambda pair: -pair[1])
    wrong = np.cumsum([iou < below for _, _, iou in ordered])
    return [((n + 1) / len(ordered), float(wrong[n]) / (n + 1), ordered[n][0]) for n in range(len(ordered))]


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
        certified_threshold=_certified(trust, pairs, below=epoch.below if epoch else project.settings.wrong_below),
        is_calibrated=trust.is_calibrated,
        is_alarmed=trust.is_alarmed,
    )


def _certified(trust: Trust, pairs: Sequence[tuple[int, float, float]], *, below: float) -> float | None:
    """G2 on the probes: what else is in the holdout came from the queue and is no sample of the stream."""
    probes = {record.image_id for record in trust.project.images(state=ImageState.LABELLED) if record.probe}
    drawn = [pair for pair in pairs if pair[0] in probes]
    if len(drawn) < FEW_PAIRS:
        return None
    scores = np.array([confidence for _, confidence, _ in drawn])
    wrong = np.array([iou < below for _, _, iou in drawn])
    return certified_threshold(scores, wrong, share=Evidence().certified_share, grid=list(GRID))


def _history(trust: Trust) -> list[tuple[int, int, int]]:
    """The bound after each of some audits, each with the accept events and answers that there were by then."""
    accepts = trust.project.accepts
    audits = [audit for audit in accepts.audits() if audit.repeat_of is None]
    events = accepts.events()
    if not audits or not events:
        return []
    answered = {audit.accept_id: (at, audit.answer is Answer.WRONG) for at, audit in enumerate(audits)}
    never = (len(audits), False)
    when, wrong = map(np.array, zip(*(answered.get(event.accept_id, never) for event in events), strict=True))
    epochs, heads = (np.array([getattr(event, name) for event in events]) for name in ("epoch", "coin"))
    images, created = {event.accept_id: event.image_id for event in events}, [event.created for event in events]
    begun, found = accepts.epochs(), []
    for last in map(int, np.unique(np.linspace(0, len(audits) - 1, CHECKPOINTS).astype(int))):
        count = bisect_right(created, audits[last].created)
        is_known = when[:count] <= last
        parts = [
            Audited(
                accepted=int(mine.sum()),
                heads=int((mine & heads[:count]).sum()),
                wrong=int((mine & heads[:count] & is_known & wrong[:count]).sum()),
                unfinished=int((mine & heads[:count] & ~is_known).sum()),
                rate=epoch.rate,
                epoch=epoch.number,
            )
            for epoch in begun
            if (mine := epochs[:count] == epoch.number).any()
        ]
        left = bound(parts, alpha=ALPHA, missed=trust.project.settings.audit_missed).left
        found.append((last + 1, left, images[audits[last].accept_id]))
    return found
