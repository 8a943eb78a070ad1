"""Images a second of prediction and of training, beside plain PyTorch in the same run, and the goals.

``python tests/benchmarks/speed.py [--base 16] [--threads 2]``: 128x128, prediction in batches of 32, training in
batches of 10, base 16 and base 8 unless one is named. "Plain" is float32, contiguous, eager, nothing folded. The
GEMM rate is that of a 2048 x 2048 x 2048 product measured in the same run, in bf16 where the processor has it, else in
fp32; a forward pass counts 3.64 GFLOP at base 16, a step three times that. The goals are those of processors with
bf16. Ratios hold on a busy machine, images a second do not: the load is printed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import numpy as np
import torch

from labeler import images, masks, ships
from labeler.dataset import Batches, Core, Sample
from labeler.device import PACE_TRIALS, autocast_dtype, choose_device, describe, set_threads
from labeler.inference import Predictor
from labeler.losses import segmentation_loss
from labeler.networks import NetworkConfig, ResidualUNet, lean
from labeler.settings import Settings
from labeler.training import Trainer, fit_for

FORWARD_GFLOP_BASE_16 = 3.64
PREDICTED, TRAINED = 32, 10
WARM_UP = 3 * PACE_TRIALS  # calls, by which the number of threads has been found
NARROW_GOAL = 300 / 90  # images predicted at base 8 for each at base 16
AUGMENTATION_GOAL = 0.05  # of a step


@dataclass(frozen=True, slots=True)
class Goal:
    """Least ratio to plain PyTorch and least share of the GEMM rate."""

    ratio: float
    share: float


GOALS = {("prediction", 16): Goal(4.0, 0.80), ("training", 16): Goal(2.3, 0.55)}


def alternating(functions: dict[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """Median seconds of each, run in turn so that a noisy neighbour disturbs all alike."""
    for function in functions.values():
        for _ in range(WARM_UP):
            function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            begin = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in seconds.items()}


def gemm() -> Callable[[], object]:
    """The product whose rate is the yardstick, in the precision that ours computes in: bf16 may be emulated."""
    dtype = autocast_dtype(choose_device("cpu")) or torch.float32
    a, b = (torch.rand(2048, 2048).to(dtype) for _ in range(2))
    return lambda: a @ b


def prediction(base: int) -> dict[str, Callable[[], object]]:
    """Ours from uint8 images to masks and confidences; plain from a ready tensor to logits."""
    network = ResidualUNet(NetworkConfig(base_width=base, dropout=0.0)).eval()
    predictor = Predictor(network, device="cpu")
    batch = [ships.as_uint8(image) for image, _ in ships.pairs(PREDICTED, seed=1)]
    x = torch.rand(PREDICTED, 3, 128, 128)

    def plain() -> None:
        with torch.inference_mode():
            network(x)

    return {"plain": plain, "ours": lambda: predictor.predict(batch), "gemm": gemm()}


def training(base: int, folder: Path) -> dict[str, Callable[[], object]]:
    """Ours with crops, augmentation, averaging; plain with one ready batch. Both AdamW, both without dropout.

    Held: the later steps of a round from nothing and all of one that goes on, where normalisation keeps its statistics.
    """
    samples = []
    for index, (image, mask) in enumerate(ships.pairs(16, seed=2)):
        sample = Sample(folder / f"{index}.png", folder / f"{index}.mask.png")
        sample.image_path.write_bytes(images.encode(ships.as_uint8(image)))
        masks.save(sample.mask_path, mask)
        samples.append(sample)
    settings = Settings(base_width=base, batch=TRAINED, device="cpu")
    core = Core(samples, classes=1, memory_mb=512)
    trainer, held = (Trainer(settings, 0, core, fit_for(settings), steps=1000) for _ in range(2))
    for _ in held.hold_statistics(600, 1000):
        pass
    x, target, _ = Batches(core, settings, np.random.default_rng(0), channels=3).draw(TRAINED)
    x = x.contiguous()
    network = ResidualUNet(NetworkConfig(base_width=base, dropout=0.0)).train()
    optimiser = torch.optim.AdamW(network.parameters())

    def plain() -> None:
        optimiser.zero_grad()
        with mock.patch.object(lean, "suits", return_value=False):
            segmentation_loss(network(x), target).mean().backward()
        optimiser.step()

    return {
        "plain": plain,
        "ours": lambda: trainer.step(500),
        "held": lambda: held.step(700),
        "gemm": gemm(),
        "augmentation": lambda: trainer.batches.draw(TRAINED),
    }


def report(work: str, base: int, seconds: dict[str, float], *, count: int, ours: str = "ours") -> float:
    """One line of figures; returns the images a second."""
    kind = f", {ours} statistics" if ours != "ours" else ""
    passes = {"prediction": 1, "training": 3}[work]
    gflop = FORWARD_GFLOP_BASE_16 * (base / 16) ** 2 * passes
    rate = 2 * 2048**3 / seconds["gemm"] / 1e9
    share = gflop * count / seconds[ours] / rate
    goal = GOALS.get((work, base))
    wanted = "" if goal is None else f" (goals {goal.ratio:.1f}x, {goal.share:.0%})"
    print(
        f"base {base} {work}{kind}, batch {count}: {count / seconds[ours]:.1f} images/s against "
        f"{count / seconds['plain']:.1f} plain = {seconds['plain'] / seconds[ours]:.2f}x; "
        f"{share:.0%} of the GEMM rate of {rate:.0f} GFLOP/s{wanted}"
    )
    return count / seconds[ours]


def measure(base: int, *, rounds: int) -> float:
    """Print the lines of one width; returns the images predicted a second."""
    predicted = report("prediction", base, alternating(prediction(base), rounds=rounds), count=PREDICTED)
    with tempfile.TemporaryDirectory() as folder:
        figures = alternating(training(base, Path(folder)), rounds=rounds)
    report("training", base, figures, count=TRAINED)
    report("training", base, figures, count=TRAINED, ours="held")
    share = figures["augmentation"] / figures["ours"]
    print(f"base {base} augmentation: {share:.1%} of a step (goal < {AUGMENTATION_GOAL:.0%})")
    return predicted


def main() -> None:
    """Print every ratio beside its goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=int, choices=(8, 16), help="one width only")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    threads = set_threads(options.threads)
    device = choose_device("cpu")
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"{describe(device)}, {threads} threads, autocast {autocast_dtype(device)}, 128x128{load}")
    rates = {base: measure(base, rounds=options.rounds) for base in ([options.base] if options.base else [16, 8])}
    if len(rates) > 1:
        print(f"prediction at base 8 against base 16: {rates[8] / rates[16]:.2f}x (goal {NARROW_GOAL:.2f}x)")


if __name__ == "__main__":
    main()
