"""What it costs to correct predictions up to an IoU of 0.95: the plain brush against scribbles, by a simulated person.

    python tests/benchmarks/correcting.py [--images 12] [--data FOLDER]

On nuclei (dsb2018_nuclei) and cells (cells_usiigaci) from LABELER_DATA or ``../shared/data``. The predictions are those
of a small net, trained here for some seconds on twelve other images of the set. The cost model is told in
``labeler.studies.correcting``.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from labeler import images, masks
from labeler.metrics import iou
from labeler.records import Mask
from labeler.studies.correcting import Tally, with_brush, with_scribbles

SETS = ("dsb2018_nuclei", "cells_usiigaci")
TAUGHT = 12
GOAL = 0.95
_SIDE, _BATCH = 96, 4
_LARGEST = 700 * 700  # pixels: the simulated person takes minutes over larger ones


@dataclass(frozen=True)
class Case:
    """An image with its reference mask and what the small net says."""

    name: str
    rgb: NDArray[np.uint8]
    reference: Mask
    mask: Mask
    probability: NDArray[np.uint8]


def cases(folder: Path, count: int, *, seconds: float) -> list[Case]:
    """Images that the net got partly right: IoU 0.4 to 0.95."""
    paths = sorted((folder / "images").glob("*.png"))
    np.random.default_rng(0).shuffle(paths)  # type: ignore[arg-type]
    taught = [_pair(folder, path) for path in paths[:TAUGHT]]
    net = _trained(taught, seconds)
    found: list[Case] = []
    for path in paths[TAUGHT:]:
        rgb, reference = _pair(folder, path)
        if reference.size > _LARGEST:
            continue
        with torch.no_grad():
            share = torch.sigmoid(net(_inputs(rgb)[None]))[0, 0].numpy()
        case = Case(path.stem, rgb, reference, (share >= 0.5).astype(np.uint8), (share * 255).astype(np.uint8))
        if 0.4 <= iou(case.mask, reference) < GOAL:
            found.append(case)
        if len(found) == count:
            break
    return found


def _pair(folder: Path, path: Path) -> tuple[NDArray[np.uint8], Mask]:
    return images.load_rgb8(images.load(path)), masks.load_reference(folder / "masks" / path.name, classes=1)


def _inputs(rgb: NDArray[np.uint8]) -> Tensor:
    """(6, H, W): the image in standard deviations, sharp and blurred."""
    plain = (rgb - rgb.mean((0, 1))) / (rgb.std() + 1)
    planes = np.concatenate([plain, cv2.GaussianBlur(plain, (0, 0), 6)], axis=2).astype(np.float32)
    return torch.from_numpy(planes).permute(2, 0, 1)


def _trained(pairs: list[tuple[NDArray[np.uint8], Mask]], seconds: float) -> nn.Module:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    layers: list[nn.Module] = []
    for into, out, dilation in ((6, 12, 1), (12, 12, 2), (12, 12, 4)):
        layers += [nn.Conv2d(into, out, 3, padding=dilation, dilation=dilation), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Conv2d(12, 1, 1))
    optimiser = torch.optim.Adam(net.parameters(), 4e-3)
    samples = [(_inputs(rgb), torch.from_numpy(mask.astype(np.float32))[None]) for rgb, mask in pairs]
    until = time.process_time() + seconds
    while time.process_time() < until:
        crops = []
        for number in rng.integers(len(samples), size=_BATCH):
            image, mask = samples[number]
            y, x = (int(rng.integers(max(side - _SIDE, 0) + 1)) for side in mask.shape[1:])
            crops.append((image[:, y : y + _SIDE, x : x + _SIDE], mask[:, y : y + _SIDE, x : x + _SIDE]))
        logits = net(torch.stack([image for image, _ in crops]))
        loss = nn.functional.binary_cross_entropy_with_logits(logits, torch.stack([mask for _, mask in crops]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net.eval()


def row(name: str, tallies: list[Tally]) -> str:
    """Median and mean strokes and seconds."""
    strokes, seconds = np.array([t.strokes for t in tallies]), np.array([t.seconds for t in tallies])
    scribbled = sum(t.strokes - t.brushed for t in tallies)
    reached, extra = np.mean([t.iou >= GOAL for t in tallies]), ""
    if scribbled:
        waited = 1000 * sum(t.waited for t in tallies) / scribbled
        extra = (
            f"{sum(t.brushed for t in tallies) / strokes.sum():5.0%} by brush, "
            f"{sum(t.undone for t in tallies) / scribbled:4.0%} undone, answer in {waited:.0f} ms"
        )
    return (
        f"  {name:<10} strokes {np.median(strokes):5.1f} {strokes.mean():6.1f}   "
        f"seconds {np.median(seconds):6.1f} {seconds.mean():6.1f}   reached {reached:4.0%}  {extra}"
    )


def main() -> None:
    """Print both tools for both sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=25.0, help="of training, in processor time")
    default = os.environ.get("LABELER_DATA") or Path(__file__).parents[2].parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(default))
    chosen = parser.parse_args()
    for name in SETS:
        if not (chosen.data / name).is_dir():
            sys.exit(f"no {name} in {chosen.data}: set LABELER_DATA")
        found = cases(chosen.data / name, chosen.images, seconds=chosen.seconds)
        ious = [float(iou(case.mask, case.reference)) for case in found]
        print(f"{name}: {len(found)} predictions, IoU {np.median(ious):.2f} (median), goal {GOAL}; median and mean")
        brush = [with_brush(case.mask, case.reference, goal=GOAL) for case in found]
        print(row("brush", brush), flush=True)
        scribbles = [with_scribbles(c.rgb, c.mask, c.probability, c.reference, goal=GOAL) for c in found]
        print(row("scribbles", scribbles), flush=True)


if __name__ == "__main__":
    main()
