"""Commands on plain files, without a project: predict images, draw ships."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from labeler.cli.console import emit, follow, note, say

if TYPE_CHECKING:
    from labeler.ships import ShipsConfig

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, for scripts.")]


def predict(
    images: Annotated[
        str, typer.Argument(metavar="IMAGES", help="Folder, list file, video or camera:0.", show_default=False)
    ],
    model: Annotated[Path, typer.Option(help="Model file (.safetensors, or .pt with plain weights).")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="New folder for the masks.")],
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where to compute.")] = "auto",
    as_json: Json = False,
) -> None:
    """Predict masks with a model: PNG with the class per pixel, and index.csv with the confidences."""
    from labeler.cli.predicting import predict_images

    forecast = follow(predict_images(images, model, out, device=device), "predict")
    for item in forecast.unreadable:
        note(f"unreadable: {item.path}: {item.reason}")
    if as_json:
        emit(
            {
                "folder": str(forecast.folder),
                "images": forecast.images,
                "unreadable": len(forecast.unreadable),
                "mean_confidence": forecast.mean_confidence,
            }
        )
        return
    confidence = "" if forecast.mean_confidence is None else f", mean confidence {forecast.mean_confidence:.3f}"
    say(f"{forecast.folder}: {forecast.images} masks{confidence}, {len(forecast.unreadable)} files unreadable")


def ships(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New folder.", show_default=False)],
    count: Annotated[int, typer.Option("-n", "--count", min=1, max=1_000_000, help="Pairs to draw.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed; the k-th pair depends on it and k alone.")] = 0,
    distractor: Annotated[
        Literal["rectangle", "triangle", "none"], typer.Option(help="What lies beside the ellipse.")
    ] = "rectangle",
    size: Annotated[int, typer.Option(min=64, max=4096, help="Side of the images in pixels.")] = 128,
    radii: Annotated[
        tuple[float, float], typer.Option(metavar="LOW HIGH", help="Semi-axes of the ellipse in pixels.")
    ] = (10.0, 20.0),
    as_json: Json = False,
) -> None:
    """Draw the article's synthetic pairs: an ellipse to find, a distractor to ignore, noise everywhere."""
    from labeler.studies.samples import write_pairs

    config = _config(distractor, size, radii)
    follow(write_pairs(folder, count, seed=seed, choice=lambda _: config), "ships")
    if as_json:
        emit({"images": str(folder / "images"), "masks": str(folder / "masks"), "pairs": count})
        return
    say(f"{folder}: {count} pairs in images/ and masks/")


def _config(distractor: Literal["rectangle", "triangle", "none"], size: int, radii: tuple[float, float]) -> ShipsConfig:
    from labeler.ships import ShipsConfig

    low, high = radii
    if not 1 <= low <= high <= size / 4:
        raise typer.BadParameter(
            f"two numbers from 1 to {size / 4:g} are needed, the smaller first", param_hint="--radii"
        )
    return ShipsConfig(size=size, radii=radii, distractor=distractor)
