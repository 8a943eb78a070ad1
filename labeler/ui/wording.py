"""What the window says about figures and states; pure functions, so that every sentence can be tested."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from PySide6.QtCore import QCoreApplication

from labeler.records import Counts, ImageRecord, ImageState, LabelOrigin, Progress
from labeler.review import Kind, MaskVersion
from labeler.ui.told import told

ASIDE = 0.15  # of the image's side, from its middle: then doubt lies on one side


def tr(text: str) -> str:
    """``text`` in the language of the window."""
    return QCoreApplication.translate("wording", text)


@dataclass(frozen=True, slots=True)
class Figures:
    """What the strip and the empty states speak about."""

    counts: Counts = field(default_factory=Counts)
    threshold: float = 0.0
    champion: int | None = None
    holdout_iou: float | None = None
    holdout_count: int = 0
    first_labels: int = 8
    labels_until_round: int = 0
    wrong_at_most: int | None = None
    audits_waiting: int = 0
    is_calibrated: bool = False
    is_alarmed: bool = False
    stream: str = ""
    round: str = ""  # "" while none runs
    saved: str = ""

    @property
    def is_cold(self) -> bool:
        """No model yet."""
        return self.champion is None


def figures_of(status: Any) -> Figures:
    """The figures of a session's status: those of the loop, and the texts of stream, round and saving."""
    return Figures(
        counts=status.loop.counts,
        threshold=status.loop.threshold,
        champion=status.loop.champion,
        holdout_iou=status.loop.holdout_iou,
        holdout_count=status.loop.holdout_count,
        first_labels=status.loop.first_labels,
        labels_until_round=status.loop.labels_until_round,
        wrong_at_most=status.loop.wrong_at_most,
        audits_waiting=status.loop.audits_waiting,
        is_calibrated=status.loop.is_calibrated,
        is_alarmed=status.loop.is_alarmed,
        stream=status.stream,
        round=status.round,
        saved=status.saved,
    )


def percent(share: float, *, digits: int = 0) -> str:
    """A share as a percentage; what is not quite all or nothing is never rounded to it."""
    smallest = 10.0 ** -(digits + 2)
    if 0 < share < smallest / 2:
        return f"<{smallest:.{digits}%}"
    if 1 - smallest / 2 < share < 1:
        return f">{1 - smallest:.{digits}%}"
    return f"{share:.{digits}%}"


def state_name(state: ImageState) -> str:
    """A state in words."""
    return {
        ImageState.POOL: tr("Not predicted yet"),
        ImageState.QUEUED: tr("Waits for you"),
        ImageState.ACCEPTED: tr("Accepted by the model"),
        ImageState.LABELLED: tr("Labelled by you"),
        ImageState.EXCLUDED: tr("Excluded"),
        ImageState.UNREADABLE: tr("Unreadable"),
    }[state]


def state_word(state: ImageState) -> str:
    """A state in one word, beside its mark."""
    return {
        ImageState.POOL: tr("new"),
        ImageState.QUEUED: tr("waits"),
        ImageState.ACCEPTED: tr("accepted"),
        ImageState.LABELLED: tr("labelled"),
        ImageState.EXCLUDED: tr("excluded"),
        ImageState.UNREADABLE: tr("unreadable"),
    }[state]


def confidence_text(record: ImageRecord) -> str:
    """The confidence of an image's prediction, and whether that has been compared with anything."""
    assert record.confidence is not None
    figure = percent(record.confidence)
    return figure if is_calibrated(record) else tr("{} (not calibrated yet)").format(figure)


def is_calibrated(record: ImageRecord) -> bool:
    """Whether the confidence of an image's prediction has been compared with labels: it has a chance to be wrong."""
    return "wrong" in record.signals


def labels(count: int) -> str:
    """A number of labels in words."""
    return tr("1 label") if count == 1 else tr("{} labels").format(count)


def strip_items(figures: Figures) -> list[tuple[str, str]]:
    """The items of the status strip as (name, text); the names are those of its dots and tooltips."""
    counts = figures.counts
    items = [
        ("streamed", tr("{:,} streamed").format(counts.streamed)),
        ("accepted", tr("{:,} accepted").format(counts.accepted)),
        # Before the first model every image waits for a person.
        ("queued", tr("{:,} queued").format(counts.queued + (counts.pool if figures.is_cold else 0))),
        ("core", tr("{:,} core").format(counts.core)),
        ("holdout", tr("{:,} holdout").format(counts.holdout)),
    ]
    if figures.wrong_at_most is not None and counts.accepted:
        items.append(("certificate", certified_text(figures)))
    if figures.is_alarmed:
        items.append(("alarm", tr("The stream has changed")))
    if counts.unreadable:
        items.append(("unreadable", tr("{:,} unreadable").format(counts.unreadable)))
    items.append(("model", model_text(figures)))
    items.append(("round", figures.round or round_text(figures)))
    if figures.stream:
        items.append(("stream", figures.stream))
    if figures.saved:
        items.append(("saved", figures.saved))
    return items


def certified_text(figures: Figures) -> str:
    """The bound on wrong accepted masks, and what it lacks."""
    assert figures.wrong_at_most is not None
    most = min(figures.wrong_at_most, figures.counts.accepted)
    text = tr("of {:,} accepted, at most {:,} wrong (95 %)").format(figures.counts.accepted, most)
    if most == figures.counts.accepted:  # true, but no bound
        text = tr("No bound on wrong masks yet")
    waiting = figures.audits_waiting
    if not waiting:
        return text
    return text + (tr(" · 1 audit waits") if waiting == 1 else tr(" · {:,} audits wait").format(waiting))


def model_text(figures: Figures) -> str:
    """The champion and its IoU."""
    if figures.champion is None:
        return tr("No model yet")
    if figures.holdout_iou is None:
        return tr("Model v{} (not judged yet)").format(figures.champion)
    return tr("Model v{} (IoU {:.3f} on holdout)").format(figures.champion, figures.holdout_iou)


def round_text(figures: Figures) -> str:
    """When the next round starts."""
    if figures.is_cold:
        return tr("First model: {}/{} labels").format(_labelled(figures), figures.first_labels)
    if figures.labels_until_round <= 0:
        return tr("Next round is due")
    return tr("Next round in {}").format(labels(figures.labels_until_round))


def _labelled(figures: Figures) -> int:
    return min(figures.counts.labelled, figures.first_labels)


def next_step(figures: Figures) -> str:
    """One sentence for an empty queue: what to do next."""
    counts = figures.counts
    if counts.streamed == 0:
        return tr("No images yet. Add files to the folder, or drop some here.")
    if figures.is_cold:
        return tr("Label {} images for the first model · {}/{}").format(
            figures.first_labels, _labelled(figures), figures.first_labels
        )
    if counts.pool:
        return tr("{:,} images are being predicted; those that need you appear here.").format(counts.pool)
    waiting = figures.audits_waiting
    if waiting:
        audits = tr("audit 1 accepted mask") if waiting == 1 else tr("audit {:,} accepted masks").format(waiting)
        return tr("Nothing below the threshold: raise it · {} · export").format(audits)
    if counts.accepted:
        return tr("Nothing below the threshold: raise it, or export. No audit waits.")
    return tr("Nothing below the threshold: raise it, or export.")


def is_through(figures: Figures) -> bool:
    """Whether a model has predicted everything there is: an empty queue means that the work is done."""
    return not figures.is_cold and figures.counts.streamed > 0 and figures.counts.pool == 0


def cold_start(figures: Figures) -> str:
    """The sentence above the canvas before the first model, "" afterwards."""
    if not figures.is_cold or figures.counts.streamed == 0:
        return ""
    if figures.counts.labelled >= figures.first_labels:
        if figures.round:
            return tr("The first model is being trained. You can go on labelling.")
        return tr("Enough labels for the first model: train now, or go on labelling.")
    return next_step(figures)


def why_here(record: ImageRecord, threshold: float) -> str:
    """Why an image is in its state, for the inspector."""
    state = record.state
    if state is ImageState.UNREADABLE:
        return told(record.reason)
    if state is ImageState.EXCLUDED:
        return told(record.reason) or tr("You left it out.")
    if state is ImageState.LABELLED:
        kept = tr("It trains the model.") if record.split != "holdout" else tr("It judges the model, never trains it.")
        how = tr("Your mask: {}.").format(origin_name(record.origin)) if record.origin else tr("Your mask.")
        return f"{how} {kept}"
    if record.confidence is None:
        return tr("No prediction yet: paint the mask, then accept.")
    if state is ImageState.ACCEPTED:
        return tr("Confidence {:.2f} is at or above the threshold {:.2f}.").format(record.confidence, threshold)
    if record.probe:
        return tr("A probe: drawn for the holdout before any model had scored it. Judge it for itself.")
    if record.reason:
        return told(record.reason)
    if record.foreground == 0 and record.confidence == 0:
        return tr("The model finds nothing here, and you have not labelled an empty image yet.")
    if record.confidence >= threshold:
        return tr("Confidence {:.2f} would do, but it waits for you.").format(record.confidence)
    said = tr("Confidence {:.2f} is below the threshold {:.2f}").format(record.confidence, threshold)
    if doubts := doubts_of(record):
        return f"{said}: {'; '.join(doubts)}."
    if "wrong" in record.signals:
        return said + tr(": of masks with such figures {} were wrong on the holdout.").format(
            percent(record.signals["wrong"])
        )
    return f"{said}."


def doubts_of(record: ImageRecord) -> list[str]:
    """What speaks against a prediction, the strongest first: at most three, in words and numbers."""
    signals = record.signals
    found = [
        (limit - value if rising else value - limit, text.format(value))
        for value, limit, rising, text in (
            (signals.get("view_iou_min"), 0.85, True, views_text(signals)),
            (signals.get("kept"), 0.85, True, tr("the model before saw another mask, IoU {:.2f}")),
            (signals.get("look_distance"), 0.10, False, tr("it looks like no core image, distance {:.2f}")),
            (signals.get("core_distance"), 0.30, False, tr("the model sees no core image like it, distance {:.2f}")),
            (record.stability, 0.85, True, tr("a stricter cut changes the mask, stability {:.2f}")),
            (signals.get("entropy"), 0.70, False, tr("the edge is blurred, entropy {:.2f} bit")),
            (signals.get("border"), 0.25, False, tr("it runs along the border, share {:.2f}")),
        )
        if value is not None and (value < limit if rising else value > limit)
    ]
    return [text for _, text in sorted(found, reverse=True)[:3]]


def views_text(signals: dict[str, float]) -> str:
    """That turned views disagree, and where most; the figure is left open."""
    across, down = signals.get("doubt_x", 0.5), signals.get("doubt_y", 0.5)
    away = max(abs(across - 0.5), abs(down - 0.5))
    if away < ASIDE:
        return tr("turned views disagree, smallest IoU between them {:.2f}")
    if abs(across - 0.5) >= abs(down - 0.5):
        if across < 0.5:
            return tr("turned views disagree, most on the left, smallest IoU between them {:.2f}")
        return tr("turned views disagree, most on the right, smallest IoU between them {:.2f}")
    if down < 0.5:
        return tr("turned views disagree, most at the top, smallest IoU between them {:.2f}")
    return tr("turned views disagree, most at the bottom, smallest IoU between them {:.2f}")


def times(number: int) -> str:
    """How often something happened."""
    return tr("once") if number == 1 else tr("{} times").format(number)


def gate_text(
    accepts: int,
    predicted: int,
    *,
    expected: float | None = None,
    certified: float | None = None,
    is_calibrated: bool = True,
    kept: int = 0,
) -> str:
    """What a threshold does to the predictions there are; shares of wrong masks where they are known.

    ``kept`` would be accepted, were they not for a person alone: probes, what an audit found wrong or an alarm holds.
    """
    if predicted == 0:
        return tr("No predictions yet")
    said = [tr("Accepts {:,} of {:,} ({})").format(accepts, predicted, percent(accepts / predicted))]
    if kept:
        said.append(tr("{:,} more kept for you").format(kept))
    if expected is not None:
        said.append(tr("expected wrong {}").format(percent(expected, digits=1)))
    if certified is not None and certified < 1:
        said.append(tr("certified ≤ {}").format(percent(certified, digits=1)))
    if not is_calibrated:
        said.append(tr("not calibrated yet"))
    return ", ".join(said)


def origin_name(origin: LabelOrigin) -> str:
    """How a label became final, in words."""
    return {
        LabelOrigin.LOOKED: tr("accepted after a look"),
        LabelOrigin.CORRECTED: tr("corrected"),
        LabelOrigin.IMPORTED: tr("imported"),
    }[origin]


def version_name(version: MaskVersion) -> str:
    """One mask of an image, in a word or two."""
    number = version.number
    return {
        Kind.NOTHING: tr("Image only"),
        Kind.IN_HAND: tr("Mask in hand"),
        Kind.PREDICTION: tr("Prediction of v{}").format(number),
        Kind.BEFORE: tr("Before: v{}").format(number),
        Kind.REVISION: tr("Label {}").format(number),
    }[version.kind]


def version_story(version: MaskVersion) -> str:
    """When and how a mask came about, as far as that is known."""
    parts = [] if version.origin is None else [origin_name(version.origin)]
    if version.iou is not None:
        parts.append(tr("IoU {:.2f} with the prediction").format(version.iou))
    if version.created:
        parts.append(local_time(version.created))
    return " · ".join(parts)


def local_time(created: str) -> str:
    """The time of a row (ISO 8601, UTC) on the clock of the person."""
    return datetime.fromisoformat(created).astimezone().strftime("%Y-%m-%d %H:%M")


def time_left(seconds: float) -> str:
    """How long something will take, no more exactly than is known."""
    if seconds < 60:
        return tr("{:.0f} s left").format(max(1.0, seconds))
    if seconds < 3600:
        return tr("{:.0f} min left").format(seconds / 60)
    return tr("{:.1f} h left").format(seconds / 3600)


def time_spent(seconds: float, count: int) -> str:
    """How long a person has worked on ``count`` labels, in all and for each."""
    whole = tr("{:.0f} s").format(seconds) if seconds < 90 else tr("{:.0f} min").format(seconds / 60)
    if seconds >= 5400:
        whole = tr("{:.1f} h").format(seconds / 3600)
    return tr("{} · {:.0f} s a label").format(whole, seconds / count) if count else whole


def phase_name(phase: str) -> str:
    """A phase of a round in words."""
    return {
        "reading": tr("Reading the labels"),
        "training": tr("Training"),
        "checking": tr("Checking on the core"),
        "judging": tr("Judging on the holdout"),
    }.get(phase, phase)


def outcome_text(outcome: Any) -> str:
    """What became of a round: its outcome, or a sentence that is one already."""
    if isinstance(outcome, str):
        return outcome
    version, ours, theirs = outcome.version, outcome.holdout_iou, outcome.champion_iou
    if ours is None:
        return tr("Model v{} is in use; there is no holdout yet to judge it by.").format(version)
    if theirs is None:
        return tr("Model v{} is in use: mean IoU {:.3f} on the holdout.").format(version, ours)
    if outcome.published:
        return tr("Model v{} is in use: mean IoU {:.3f} on the holdout, {:.3f} before.").format(version, ours, theirs)
    return tr(
        "Model v{} was not published: mean IoU {:.3f} on the holdout, {:.3f} before. The old model stays."
    ).format(version, ours, theirs)


def seconds_left(progress: Progress, spent: float) -> float:
    """An estimate from the steps so far; 0 while there are too few to tell."""
    if progress.total <= 0 or progress.done < 3 or spent < 1.0:
        return 0.0
    return spent / progress.done * (progress.total - progress.done)
