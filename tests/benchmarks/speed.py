"""Images a second of prediction and of training, beside plain PyTorch in the same run.

``python tests/benchmarks/speed.py [--base 16] [--threads 2]``: base 16 at 128x128, prediction in batches of 32,
training in batches of 10. "Plain" is float32, contiguous, eager, nothing folded. The bf16 GEMM rate is that of a
2048 x 2048 x 2048 product measured in the same run; a forward pass counts 3.64 GFLOP
at base 16, a step three times that.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

from labeler import images, masks, ships
from labeler.dataset import Batches, Core, Sample
from labeler.device import autocast_dtype, choose_device, describe, set_threads
from labeler.inference import Predictor
from labeler.losses import segmentation_loss
from labeler.networks import NetworkConfig, ResidualUNet
from labeler.settings import Settings
from labeler.training import Trainer, fit_for

FORWARD_GFLOP_BASE_16 = 3.64
PREDICTED, TRAINED = 32, 10


def alternating(functions: dict[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """Median seconds of each, run in turn so that a noisy neighbour disturbs all alike."""
    for function in functions.values():
        function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            begin = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in seconds.items()}


def gemm() -> Callable[[], object]:
    """The product whose rate is the yardstick."""
    a, b = (torch.rand(2048, 2048).to(torch.bfloat16) for _ in range(2))
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
    """Ours with crops, augmentation, averaging; plain with one ready batch. Both AdamW, both without dropout."""
    samples = []
    for index, (image, mask) in enumerate(ships.pairs(16, seed=2)):
        sample = Sample(folder / f"{index}.png", folder / f"{index}.mask.png")
        sample.image_path.write_bytes(images.encode(ships.as_uint8(image)))
        masks.save(sample.mask_path, mask)
        samples.append(sample)
    settings = Settings(base_width=base, batch=TRAINED, device="cpu")
    core = Core(samples, classes=1, memory_mb=512)
    trainer = Trainer(settings, 0, core, fit_for(settings), steps=1000)
    x, target, _ = Batches(core, settings, np.random.default_rng(0), channels=3).draw(TRAINED)
    x = x.contiguous()
    network = ResidualUNet(NetworkConfig(base_width=base, dropout=0.0)).train()
    optimiser = torch.optim.AdamW(network.parameters())

    def plain() -> None:
        optimiser.zero_grad()
        segmentation_loss(network(x), target).mean().backward()
        optimiser.step()

    return {"plain": plain, "ours": lambda: trainer.step(500), "gemm": gemm()}


def report(name: str, seconds: dict[str, float], *, count: int, gflop: float) -> None:
    """One line of figures."""
    rate = 2 * 2048**3 / seconds["gemm"] / 1e9
    share = gflop * count / seconds["ours"] / rate
    print(
        f"{name}: {count / seconds['ours']:.1f} images/s against {count / seconds['plain']:.1f} plain = "
        f"{seconds['plain'] / seconds['ours']:.2f}x; {share:.0%} of the bf16 GEMM rate ({rate:.0f} GFLOP/s)"
    )


def main() -> None:
    """Print both lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=int, default=16)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    threads = set_threads(options.threads)
    device = choose_device("cpu")
    print(f"{describe(device)}, {threads} threads, autocast {autocast_dtype(device)}, base {options.base}, 128x128")
    gflop = FORWARD_GFLOP_BASE_16 * (options.base / 16) ** 2
    figures = alternating(prediction(options.base), rounds=options.rounds)
    report(f"prediction, batch {PREDICTED}", figures, count=PREDICTED, gflop=gflop)
    with tempfile.TemporaryDirectory() as folder:
        figures = alternating(training(options.base, Path(folder)), rounds=options.rounds)
    report(f"training, batch {TRAINED}", figures, count=TRAINED, gflop=3 * gflop)


if __name__ == "__main__":
    main()
