"""The sample's story without a window: a stream of ships, the shipped net, an annotator who always knows."""

from __future__ import annotations

import io
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labeler.errors import StorageError
from labeler.files import shipped, write_atomically
from labeler.headless import Forecaster, take_up, train_once
from labeler.loop import Loop
from labeler.oracle import ReferenceOracle
from labeler.project import Project
from labeler.records import Progress
from labeler.settings import Settings
from labeler.ships import ARTICLE, ShipsConfig
from labeler.studies.report import Picture, check_accepted, figures, markdown_table, picture, sheet
from labeler.studies.samples import write_pairs
from labeler.studies.simulation import accepted_ious

MODEL = "models/ships.safetensors"
ROUNDS = 2
LABELS_A_ROUND = 18  # of which the loop keeps three for the holdout
STEPS = 70  # of a round: shorter than a project's own, for a net that is nearly right
THRESHOLD = 0.9  # at the default, 0.8075, the shipped net is unsure of hardly any
HARD = ShipsConfig(distractor="triangle", radii=(6.0, 14.0))  # the net was trained on radii from 10 to 20
INTRODUCTION = (
    "A stream of generated images: find the ellipse in the noise, ignore the other shape. Every third image has a "
    "triangle beside an ellipse that is often smaller than any that the shipped model was trained on. A simulated "
    "annotator, who draws the true mask, corrects the least confident predictions."
)
SHOWN = 6  # tiles in a row of the sheet


@dataclass(frozen=True, slots=True)
class Story:
    """What the demo has left in its folder, and its figures as the catalogue has them."""

    folder: Path
    project: Path
    report: Path
    sheet: Path
    figures: dict[str, Any]

    @property
    def sentence(self) -> str:
        """The outcome in one sentence."""
        told = self.figures
        first, last = told["checks"][0], told["checks"][-1]
        return (
            f"{told['streamed']} images, {told['labelled']} corrected by the annotator, {told['queued']} still wait; "
            f"wrong among the accepted masks: {_wrong(first)} at first, {_wrong(last)} at the end"
        )


def _wrong(check: dict[str, Any]) -> str:
    mean = "" if check["mean_iou"] is None else f" (mean IoU {check['mean_iou']:.3f})"
    return f"{check['below']} of {check['accepted']}{mean}"


def free_folder(wanted: Path) -> Path:
    """``wanted``, or with the first number behind it that no folder has."""
    number, folder = 1, wanted
    while folder.exists():
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
    return folder


def tell(folder: Path, *, images: int = 240, seed: int = 0) -> Generator[Progress, None, Story]:
    """Play the story in a new folder and write its report. StorageError where the folder cannot be used."""
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(f"{folder}: exists already and is not an empty folder; choose a new name")
    yield from write_pairs(folder / "stream", images, seed=seed, choice=_every_third_is_hard)
    source = str(folder / "stream" / "images")
    settings = Settings(
        threshold=THRESHOLD, steps=STEPS, invert="yes", seed=seed, probe_share=0.0
    )  # ships are as often dark as light
    oracle = ReferenceOracle(folder / "stream" / "masks")
    with Project.create(folder / "project", settings=settings, sources=[source]) as project:
        yield from take_up(project, [source])
        loop = Loop(project)
        loop.adopt_model(shipped(MODEL))
        forecaster = Forecaster(loop)
        yield from forecaster.predict_waiting()
        check_accepted(project, oracle)
        chosen = _worst_to_best(project, oracle)
        before = _pictures(project, oracle, chosen)
        for _ in range(ROUNDS):
            if _annotate(loop, oracle) == 0:
                break
            yield from train_once(loop)
            yield from forecaster.predict_waiting()
        check_accepted(project, oracle)
        told = figures(project)
        rows = [
            ("accepted from the shipped model, the worst to the best", before),
            ("the same images and the last model", _pictures(project, oracle, chosen)),
            ("what the annotator corrected first", _labelled(project)),
        ]
    story = Story(folder, folder / "project", folder / "report.md", folder / "sheet.png", told)
    write_atomically(story.sheet, _png(rows))
    write_atomically(story.report, _text(story).encode())
    return story


def _every_third_is_hard(index: int) -> ShipsConfig:
    return HARD if index % 3 == 2 else ARTICLE


def _annotate(loop: Loop, oracle: ReferenceOracle) -> int:
    """Answer the next queries with the truth; returns how many there were."""
    waiting = loop.queue(limit=LABELS_A_ROUND)
    for record in waiting:
        loop.commit(record.image_id, oracle.mask(record))
    return len(waiting)


def _worst_to_best(project: Project, oracle: ReferenceOracle) -> list[int]:
    """Ids of accepted images, evenly spread over the true IoU of their masks."""
    ious = accepted_ious(project, oracle)
    ranked = sorted(ious, key=lambda image_id: ious[image_id])
    places = np.unique(np.linspace(0, len(ranked) - 1, SHOWN).astype(int)) if ranked else ()
    return [ranked[place] for place in places]


def _pictures(project: Project, oracle: ReferenceOracle, chosen: Sequence[int]) -> list[Picture]:
    records = [project.image(image_id) for image_id in chosen]
    found = (picture(project, record, oracle.mask(record)) for record in records)
    return [tile for tile in found if tile is not None]


def _labelled(project: Project) -> list[Picture]:
    """What the annotator saw, beside what they made of it."""
    labels = project.labels()[:SHOWN]
    found = (picture(project, project.image(label.image_id), project.label_mask(label.image_id)) for label in labels)
    return [tile for tile in found if tile is not None]


def _png(rows: list[tuple[str, list[Picture]]]) -> bytes:
    payload = io.BytesIO()
    sheet(rows).save(payload, "PNG")
    return payload.getvalue()


def _text(story: Story) -> str:
    told = story.figures
    counts = ("streamed", "accepted", "labelled", "core", "holdout", "queued", "excluded", "unreadable")
    rounds = ("round", "core", "steps", "seconds", "model", "published", "holdout IoU before", "after")
    versions = ("version", "status", "core", "holdout", "holdout IoU")
    checks = (
        "model",
        "accepted",
        "waiting",
        "labelled",
        "mean IoU",
        "lowest IoU",
        f"below {told['wrong_below']:g}",
    )
    parts = (
        "# The sample's story",
        INTRODUCTION,
        f"{story.sentence}.",
        "## Images",
        markdown_table(counts, [[told[name] for name in counts]]),
        f"The threshold is {told['threshold']}: from this confidence on, a mask is accepted without a person. Where "
        "the model finds nothing its confidence counts as 0 until an empty image has been labelled.",
        "## Rounds",
        markdown_table(rounds, [list(record.values()) for record in told["rounds"]]),
        "## Models",
        markdown_table(versions, [list(version.values()) for version in told["versions"]]),
        "The holdout is small: it says which of two models is better, not how good one is.",
        "## Accepted masks against the truth",
        markdown_table(checks, [list(check.values()) for check in told["checks"]]),
        "Every new model predicts the accepted images again, so that what it learnt from the corrections mends masks "
        "that nobody has looked at. The first line shows why a confidence needs a check: the shipped model is as sure "
        "of some wrong masks as of right ones.",
        "## Pictures",
        "Green: both agree. Red: one of them is wrong. Blue: the outline of the prediction.",
        f"![masks]({story.sheet.name})",
        f"The project is in `{story.project.name}`: `labeler open` shows it in the window.",
    )
    return "\n\n".join(parts) + "\n"
