"""Training from nothing on chosen pairs: the random arms, the ceiling, and every question of pruning."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

from labeler import masks
from labeler.dataset import Sample
from labeler.records import Progress
from labeler.settings import Settings
from labeler.studies.curate.pairs import Pairs
from labeler.training import RoundResult, TrainingJob, run_round


def train_on(
    pairs: Pairs,
    indices: Sequence[int],
    *,
    masks_folder: Path,
    output: Path,
    settings: Settings,
    seed: int,
    long: bool = True,
) -> Generator[Progress, None, RoundResult]:
    """One round of the program's own trainer from nothing, with these labels for a core and no holdout.

    ``long``: with as many steps as the program's last models have had, where there are long rounds at all.
    """
    masks_folder.mkdir(parents=True, exist_ok=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    samples = []
    for done, index in enumerate(indices, 1):
        mask_path = masks_folder / f"{index}.png"
        if not mask_path.exists():
            masks.save(mask_path, pairs.mask(index), durable=False)
        samples.append(Sample(pairs.path(index), mask_path))
        yield Progress("labelling", done, len(indices))
    long = long and settings.long_steps > 0
    job = TrainingJob(core=tuple(samples), holdout=(), output=output, settings=settings, seed=seed, long=long)
    return (yield from run_round(job))
