"""Reports for people: figures of a project as Markdown, masks as a sheet of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

from labeler import images
from labeler.errors import LabelerError
from labeler.metrics import mean_iou
from labeler.oracle import ReferenceOracle
from labeler.project import Project
from labeler.records import Image, ImageRecord, Mask
from labeler.studies.simulation import accepted_ious

# Blue, green and red of the Okabe-Ito palette: told apart with any colour vision.
PREDICTED, RIGHT, WRONG = (86, 180, 233), (0, 158, 115), (213, 94, 0)
PAPER, INK = (255, 255, 255), (32, 32, 32)
TILE, GAP, TITLE = 160, 8, 28  # pixels
CHECKED = "accepted_masks_checked"  # event with the accepted masks' agreement with the reference


def figures(project: Project) -> dict[str, Any]:
    """Every figure of a report, as the catalogue has it; ready for JSON."""
    champion = project.champion()
    return {
        **asdict(project.counts()),
        "threshold": project.settings.threshold,
        "wrong_below": project.settings.wrong_below,
        "champion": None if champion is None else champion.version,
        "versions": [
            {
                "version": version.version,
                "status": version.status.value,
                "core": version.core_count,
                "holdout": version.holdout_count,
                "holdout_iou": version.holdout_iou,
            }
            for version in project.versions()
        ],
        "rounds": [
            {
                "round": record.round_id,
                "core": record.core_count,
                "steps": record.steps,
                "seconds": record.seconds,
                "version": record.version,
                "published": record.published,
                "before": record.champion_iou,
                "after": record.challenger_iou,
            }
            for record in project.rounds()
        ],
        "checks": [event.payload for event in project.events(kind=CHECKED)],
    }


def check_accepted(project: Project, oracle: ReferenceOracle) -> None:
    """Compare each accepted mask with its reference and keep the outcome as an event of the project."""
    ious = list(accepted_ious(project, oracle).values())
    champion, counts = project.champion(), project.counts()
    project.log(
        CHECKED,
        model=None if champion is None else champion.version,
        accepted=counts.accepted,
        queued=counts.queued,
        labelled=counts.labelled,
        mean_iou=float(np.mean(ious)) if ious else None,
        lowest_iou=float(np.min(ious)) if ious else None,
        below=sum(iou < project.settings.wrong_below for iou in ious),
    )


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown; floats with three decimals, None as a dash."""
    lines = [columns, ["---"] * len(columns), *([_cell(value) for value in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value).replace("|", "\\|")


@dataclass(frozen=True, slots=True)
class Picture:
    """One tile of a sheet: an image, the model's mask and the right one (None where nobody knows)."""

    image: Image
    predicted: Mask
    reference: Mask | None
    caption: str


def picture(project: Project, record: ImageRecord, reference: Mask | None) -> Picture | None:
    """The tile of one predicted image; None where its image or prediction cannot be read any more."""
    found = project.prediction(record.image_id)
    if found is None:
        return None
    try:
        image = images.load(record.path, sha256=record.sha256)
    except LabelerError:
        return None
    caption = f"conf {found[2].confidence:.2f}"
    if reference is not None:
        caption += f"  IoU {mean_iou(found[0], reference, classes=len(project.settings.classes)):.2f}"
    return Picture(image, found[0], reference, caption)


def sheet(rows: Sequence[tuple[str, Sequence[Picture]]]) -> PILImage.Image:
    """Titled rows of tiles: agreed pixels green, wrong ones red, the predicted outline blue."""
    rows = [(title, tiles) for title, tiles in rows if tiles]
    columns = max((len(tiles) for _, tiles in rows), default=1)
    line = TITLE + TILE + GAP
    paper = PILImage.new("RGB", (GAP + columns * (TILE + GAP), GAP + max(1, len(rows)) * line), PAPER)
    draw, font = ImageDraw.Draw(paper), ImageFont.load_default(14)
    for at, (title, tiles) in enumerate(rows):
        top = GAP + at * line
        draw.text((GAP, top + 4), title, fill=INK, font=font)
        for column, tile in enumerate(tiles):
            paper.paste(_tile(tile), (GAP + column * (TILE + GAP), top + TITLE))
    return paper


def _tile(tile: Picture) -> PILImage.Image:
    pixels = overlay(images.load_rgb8(tile.image), tile.predicted, tile.reference)
    drawn = PILImage.fromarray(pixels)
    # Nearest: small images keep their pixels, and the outline stays one pixel wide.
    drawn.thumbnail((TILE, TILE), PILImage.Resampling.NEAREST)
    scale = TILE / max(drawn.size)
    size = (max(1, round(drawn.width * scale)), max(1, round(drawn.height * scale)))
    drawn = drawn.resize(size, PILImage.Resampling.NEAREST)
    framed = PILImage.new("RGB", (TILE, TILE), INK)
    framed.paste(drawn, ((TILE - size[0]) // 2, (TILE - size[1]) // 2))
    draw, font = ImageDraw.Draw(framed), ImageFont.load_default(12)
    box = draw.textbbox((4, 2), tile.caption, font=font)
    draw.rectangle((0, 0, box[2] + 4, box[3] + 3), fill=INK)
    draw.text((4, 2), tile.caption, fill=PAPER, font=font)
    return framed


def overlay(pixels: NDArray[np.uint8], predicted: Mask, reference: Mask | None) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 with the masks laid over it; without a reference only the predicted outline."""
    mixed = pixels.astype(np.float32)
    if reference is not None:
        for chosen, colour in (
            ((predicted == reference) & (reference > 0), RIGHT),
            (predicted != reference, WRONG),
        ):
            mixed[chosen] = 0.45 * mixed[chosen] + 0.55 * np.array(colour, np.float32)
    mixed[outline(predicted > 0)] = PREDICTED
    return mixed.round().astype(np.uint8)


def outline(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of an (H, W) region that touch its outside; the image's border counts as outside."""
    padded = np.pad(region, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return region & ~inner
