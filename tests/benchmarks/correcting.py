"""What it costs to correct predictions: the plain brush alone against brush and scribbles, by a simulated person.

    python tests/benchmarks/correcting.py [--images 12] [--hands 3] [--data FOLDER]

On nuclei (dsb2018_nuclei) and cells (cells_usiigaci) from LABELER_DATA or ``../shared/data``. The predictions are those
of a U-Net that is trained here for a minute on twelve other images of the set. Either person goes on until the IoU is
0.95 where all within a pixel of the reference outline counts as right, and takes the tool that mends most a second. The
cost model is told in ``labeler.studies.correcting``. Each image is corrected by several hands, which stray differently.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from labeler import images, masks
from labeler.metrics import iou
from labeler.networks import NetworkConfig, ResidualUNet
from labeler.records import Mask
from labeler.studies.correcting import Tally, with_brush, with_scribbles

SETS = ("dsb2018_nuclei", "cells_usiigaci")
TAUGHT = 12
GOAL = 0.95
_SIDE, _BATCH = 96, 4
_LARGEST = 700 * 700  # pixels: the simulated person takes minutes over larger ones


@dataclass(frozen=True)
class Case:
    """An image with its reference mask and what the net says."""

    name: str
    rgb: NDArray[np.uint8]
    reference: Mask
    mask: Mask
    probability: NDArray[np.uint8]


def cases(folder: Path, count: int, *, seconds: float, seed: int) -> list[Case]:
    """Images that the net got partly right: tolerant IoU 0.4 to the goal."""
    paths = sorted((folder / "images").glob("*.png"))
    np.random.default_rng(seed).shuffle(paths)  # type: ignore[arg-type]
    taught = [_pair(folder, path) for path in paths[:TAUGHT]]
    net = _trained(taught, seconds)
    found: list[Case] = []
    for path in paths[TAUGHT:]:
        rgb, reference = _pair(folder, path)
        if reference.size > _LARGEST:
            continue
        share = _share(net, rgb)
        case = Case(path.stem, rgb, reference, (share >= 0.5).astype(np.uint8), (share * 255).astype(np.uint8))
        if 0.4 <= iou(case.mask, reference) < GOAL:
            found.append(case)
        if len(found) == count:
            break
    return found


def _pair(folder: Path, path: Path) -> tuple[NDArray[np.uint8], Mask]:
    return images.load_rgb8(images.load(path)), masks.load_reference(folder / "masks" / path.name, classes=1)


def _inputs(rgb: NDArray[np.uint8]) -> Tensor:
    """(3, H, W) in standard deviations."""
    plain = (rgb - rgb.mean((0, 1))) / (rgb.std() + 1)
    return torch.from_numpy(plain.astype(np.float32)).permute(2, 0, 1)


def _share(net: nn.Module, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    height, width = rgb.shape[:2]
    padded = np.pad(rgb, ((0, -height % 16), (0, -width % 16), (0, 0)), mode="reflect")
    with torch.no_grad():
        share: NDArray[np.float32] = torch.sigmoid(net(_inputs(padded)[None]))[0, 0].numpy()
    return share[:height, :width]


def _trained(pairs: list[tuple[NDArray[np.uint8], Mask]], seconds: float) -> nn.Module:
    """The product's U-Net on small crops, for so many seconds of processor time."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    net = ResidualUNet(NetworkConfig(8, 3, 1, 0.0))
    optimiser = torch.optim.Adam(net.parameters(), 2e-3)
    samples = [(_inputs(rgb), torch.from_numpy(mask.astype(np.float32))[None]) for rgb, mask in pairs]
    until = time.process_time() + seconds
    while time.process_time() < until:
        crops = []
        for number in rng.integers(len(samples), size=_BATCH):
            image, mask = samples[number]
            y, x = (int(rng.integers(max(side - _SIDE, 0) + 1)) for side in mask.shape[1:])
            turns = int(rng.integers(4))
            crops.append([torch.rot90(part[:, y : y + _SIDE, x : x + _SIDE], turns, (1, 2)) for part in (image, mask)])
        logits = net(torch.stack([image for image, _ in crops]))
        loss = nn.functional.binary_cross_entropy_with_logits(logits, torch.stack([mask for _, mask in crops]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net.eval()


def row(name: str, tallies: list[Tally]) -> tuple[float, float]:
    """Print median and mean strokes and seconds; return the means."""
    strokes, seconds = np.array([t.strokes for t in tallies]), np.array([t.seconds for t in tallies])
    scribbled = sum(t.strokes - t.brushed for t in tallies)
    reached, extra = np.mean([t.iou >= GOAL for t in tallies]), ""
    if scribbled:
        waited = 1000 * sum(t.waited for t in tallies) / scribbled
        extra = (
            f"{scribbled / strokes.sum():4.0%} scribbles ({sum(t.wide for t in tallies) / scribbled:.0%} of them wide, "
            f"{sum(t.undone for t in tallies) / scribbled:.0%} undone, answer in {waited:.0f} ms)"
        )
    print(
        f"  {name:<18} strokes {np.median(strokes):5.1f} {strokes.mean():6.1f}   "
        f"seconds {np.median(seconds):6.1f} {seconds.mean():6.1f}   reached {reached:4.0%}   "
        f"plain IoU {np.mean([t.plain_iou for t in tallies]):.3f}   {extra}",
        flush=True,
    )
    return float(strokes.mean()), float(seconds.mean())


def main() -> None:
    """Print both tools for both sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--hands", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1, help="of the choice of images; the solver was tuned on 0")
    parser.add_argument("--seconds", type=float, default=60.0, help="of training, in processor time")
    default = os.environ.get("LABELER_DATA") or Path(__file__).parents[2].parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(default))
    chosen = parser.parse_args()
    for name in SETS:
        if not (chosen.data / name).is_dir():
            sys.exit(f"no {name} in {chosen.data}: set LABELER_DATA")
        found = cases(chosen.data / name, chosen.images, seconds=chosen.seconds, seed=chosen.seed)
        ious = [float(iou(case.mask, case.reference)) for case in found]
        print(
            f"{name}: {len(found)} predictions, plain IoU {np.median(ious):.2f} (median), by {chosen.hands} hands; "
            f"goal {GOAL}, a pixel of the outline allowed; median and mean"
        )
        hands = range(chosen.hands)
        brush = row("brush", [with_brush(c.mask, c.reference, goal=GOAL, seed=seed) for c in found for seed in hands])
        scribbles = row(
            "brush + scribbles",
            [
                with_scribbles(c.rgb, c.mask, c.probability, c.reference, goal=GOAL, seed=seed)
                for c in found
                for seed in hands
            ],
        )
        saved = [1 - with_ / without for with_, without in zip(scribbles, brush, strict=True)]
        print(f"  scribbles save {saved[0]:.0%} of the strokes and {saved[1]:.0%} of the seconds", flush=True)


if __name__ == "__main__":
    main()
