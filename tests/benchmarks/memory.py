"""Peak memory while a stream of generated ships is taken up, predicted and gated, beside the goal.

    python tests/benchmarks/memory.py [-n 10000]

The resident set of this process, read again after every step; the goal of 1.5 GB holds for 10,000 images of 128x128.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from labeler.files import shipped
from labeler.headless import Forecaster, take_up
from labeler.loop import Loop
from labeler.project import Project
from labeler.records import Progress
from labeler.settings import Settings

GOAL_MB = 1500


def peak_mb() -> float:
    """Largest resident set of this process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def run(name: str, steps: Generator[Progress, None, object]) -> None:
    """Drive the steps of one phase to their end and print its time and the peak so far."""
    begin, done = time.monotonic(), 0
    for progress in steps:
        done = progress.done
    seconds = time.monotonic() - begin
    print(
        f"{name}: {done} images in {seconds:.0f} s ({done / max(seconds, 1e-9):.0f} a second), peak {peak_mb():.0f} MB"
    )


def main() -> None:
    """Take up, predict and gate; print the peak beside the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--images", type=int, default=10_000)
    options = parser.parse_args()
    print(f"program loaded: peak {peak_mb():.0f} MB")
    with tempfile.TemporaryDirectory() as folder:
        project = Project.create(Path(folder) / "project", settings=Settings(device="cpu"))
        with project:
            loop = Loop(project)
            loop.adopt_model(shipped("models/ships.safetensors"))
            run("take-up", take_up(project, [f"ships:{options.images}?seed=1"]))
            run("prediction and gate", Forecaster(loop).predict_waiting())
            counts = project.counts()
    print(f"{counts.accepted} accepted, {counts.queued} queued")
    print(f"peak resident set: {peak_mb():.0f} MB with {options.images} images (goal < {GOAL_MB} MB)")


if __name__ == "__main__":
    main()
