"""Make ``models/ships.safetensors`` and its card: ``python -m labeler.studies.shipped models``."""

from __future__ import annotations

import sys
import tempfile
from itertools import chain
from pathlib import Path

import numpy as np

from labeler import checkpoint, images, masks, ships
from labeler.dataset import Sample
from labeler.device import set_threads
from labeler.driving import drain
from labeler.files import write_atomically
from labeler.inference import Predictor
from labeler.metrics import iou, stepped_iou
from labeler.records import Progress
from labeler.settings import Settings
from labeler.ships import Distractor
from labeler.training import RoundResult, TrainingJob, run_round

# An early net on purpose: the sample shows what it is unsure of. Without any triangle it takes them for ships and is
# sure of it; with more pairs and steps (28 and 1,500 reach a mean IoU of 0.977) nothing is left to correct.
PAIRS: dict[Distractor, int] = {"rectangle": 12, "triangle": 2}
STEPS = 400
SEED = 2018
FRESH_SEED = 990_000
FRESH = 500

CARD = """# ships.safetensors

The U-Net that `labeler demo` starts with.

- Task: find the ellipse ("ship") in 128x128 noise, ignore the other shape (`labeler.ships`).
- Network: residual U-Net, base width {base}, {parameters:,} parameters, 3 channels in, one class, no dropout.
- Trained on {count} labelled pairs, {pairs} (`seed={seed}`), {steps} steps of {batch} crops,
  eight symmetries, shifts of up to {shift} px, brightness, contrast and inversion; averaged weights.
- {fresh:,} fresh pairs (`seed={fresh_seed}`), mask = probability >= 0.5:

| distractor | mean plain IoU | smallest | plain IoU < 0.8075 | mean stepped IoU | mean soft IoU |
|---|---|---|---|---|---|
{rows}

- An early net on purpose: the sample shows what it is unsure of, and what a round makes of it.
- It knows ships and nothing else. On other images it is only a place to start from.
- Weights: Apache-2.0, made from generated images. SHA-256 `{sha256}`.
- Made by `python -m labeler.studies.shipped models`; another processor gives slightly other weights.
"""


def main(folder: Path) -> None:
    """Train the shipped model, measure it on fresh ships and write both files."""
    set_threads()
    settings = Settings(base_width=8, first_steps=STEPS, invert="yes")
    with tempfile.TemporaryDirectory() as scratch:
        job = TrainingJob(
            core=_write_pairs(Path(scratch)),
            holdout=(),
            output=folder / "ships.safetensors",
            settings=settings,
            seed=SEED,
        )
        result = _train(job)
    predictor = Predictor.load(result.path)
    rows = [_row(predictor, ships.ShipsConfig(distractor=shape)) for shape in PAIRS]
    card = CARD.format(
        base=settings.base_width,
        parameters=_parameters(result.path),
        pairs=" and ".join(f"{count} with {shape}s" for shape, count in PAIRS.items()),
        count=sum(PAIRS.values()),
        seed=SEED,
        steps=result.steps,
        batch=settings.batch,
        shift=settings.shift,
        fresh=FRESH,
        fresh_seed=FRESH_SEED,
        rows="\n".join(rows),
        sha256=result.sha256,
    )
    write_atomically(folder / "ships.md", card.encode())
    sys.stdout.write(card)


def _write_pairs(folder: Path) -> tuple[Sample, ...]:
    samples = []
    drawn = chain.from_iterable(
        ships.pairs(count, seed=SEED, config=ships.ShipsConfig(distractor=shape)) for shape, count in PAIRS.items()
    )
    for index, (image, mask) in enumerate(drawn):
        sample = Sample(folder / f"{index}.png", folder / f"{index}.mask.png")
        write_atomically(sample.image_path, images.encode(ships.as_uint8(image)), durable=False)
        masks.save(sample.mask_path, mask, durable=False)
        samples.append(sample)
    return tuple(samples)


def _train(job: TrainingJob) -> RoundResult:
    def tell(progress: Progress) -> None:
        if "core_iou" in progress.metrics:
            sys.stderr.write(f"step {progress.done}: core IoU {progress.metrics['core_iou']:.4f}\n")

    return drain(run_round(job), tell)


def _row(predictor: Predictor, config: ships.ShipsConfig) -> str:
    found, stepped, soft = [], [], []
    for image, mask in ships.pairs(FRESH, seed=FRESH_SEED, config=config):
        prediction = predictor.predict([ships.as_uint8(image)])[0]
        found.append(float(iou(prediction.mask, mask)))
        stepped.append(float(stepped_iou(prediction.mask, mask)))
        soft.append(prediction.soft_iou)
    figures = np.array(found)
    low = int((figures < 0.8075).sum())
    means = f"{np.mean(stepped):.4f} | {np.mean(soft):.4f}"
    return f"| {config.distractor} | {figures.mean():.4f} | {figures.min():.4f} | {low} of {FRESH:,} | {means} |"


def _parameters(path: Path) -> int:
    return sum(parameter.numel() for parameter in checkpoint.load(path).network().parameters())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
