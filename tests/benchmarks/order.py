"""How long the queue takes to be ordered: ``python tests/benchmarks/order.py [images ...]``, default 10000 100000.

Cold: after a change, as when a label was made. The window lists the front and asks for the first; ``whole`` is all.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from labeler.acquisition import ACQUISITIONS
from labeler.project import Project
from labeler.records import PredictionRecord, Split, StreamItem, VersionStatus
from labeler.waiting import FRONT, Queue

DIMS, LABELS = 128, 300


def filled(folder: Path, count: int) -> Project:
    """A project of ``count`` waiting images with predictions, and a labelled core."""
    rng = np.random.default_rng(0)
    project = Project.create(folder)
    model = project.models_folder / "0001.safetensors"
    model.write_bytes(b"none")
    figures = {"core_count": 0, "holdout_count": 0, "holdout_iou": None, "core_iou": None, "metrics": {}}
    project.add_version(model, sha256="00" * 32, parent=None, status=VersionStatus.CHAMPION, **figures)
    total = count + LABELS
    digests = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(total)]
    ids = project.add([StreamItem(Path(f"/data/{n // 1000}/{n}.png"), digests[n], 128, 128) for n in range(total)])
    looks = np.abs(rng.standard_normal((total, DIMS))).astype(np.float32)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    signals = [{"entropy": a, "margin": b, "kept": c, "area": 9.0} for a, b, c in rng.random((total, 3)).tolist()]
    sure = (0.8 * rng.random(total)).tolist()
    project.record_predictions(
        [PredictionRecord(i, 1, sure[n], 0.9, 0.9, 0.1, digests[n], signals[n], looks[n]) for n, i in enumerate(ids)],
        threshold=0.9,
    )
    with project.catalogue.embeddings._database.transaction():
        for label_id, image_id in enumerate(ids[-LABELS:], 1):
            project.catalogue.embeddings._database.write(
                "INSERT INTO labels (id, image_id, revision, mask_sha256, highest_class, origin, split, seconds, "
                "created) VALUES (?, ?, 1, x'', 1, 'corrected', ?, 1, '')",
                (label_id, image_id, Split.CORE),
            )
            project.catalogue.embeddings._database.write(
                "UPDATE images SET state = 'labelled', label_id = ? WHERE id = ?", (label_id, image_id)
            )
    return project


def milliseconds(project: Project, name: str, limit: int | None) -> float:
    """The best of three, each after a change."""
    taken = []
    for _ in range(3):
        queue = Queue(project, trained_mark=lambda champion: LABELS * 2 // 3)
        started = time.perf_counter()
        queue.ids(name, limit=limit)
        taken.append(time.perf_counter() - started)
    return min(taken) * 1e3


def main() -> None:
    """Print a table."""
    for count in map(int, sys.argv[1:] or ("10000", "100000")):
        with tempfile.TemporaryDirectory() as folder, filled(Path(folder) / "project", count) as project:
            print(f"{count:,} images wait, {LABELS} labelled: milliseconds for first / front ({FRONT}) / whole")
            for name in ACQUISITIONS:
                times = [milliseconds(project, name, limit) for limit in (2, FRONT, None)]
                print(f"  {name:13}" + "".join(f"{ms:9.1f}" for ms in times))


if __name__ == "__main__":
    main()
