"""Is every core pair essential? Block backward elimination, leave-one-out influence, and random subsets beside them.

Every answer is a net trained from nothing on a subset, twice, and compared image by image with the nets of the whole
core on images that no subset holds: the judges. What is kept is measured on other images, which judged nothing.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labeler.files import sha256_of, write_atomically
from labeler.inference import Predictor
from labeler.metrics import Floats
from labeler.records import Progress
from labeler.settings import Settings
from labeler.studies.curate.agreement import Bar, measure
from labeler.studies.curate.experiment import Experiment
from labeler.studies.curate.pairs import Indices, Pairs, ShipsPairs
from labeler.studies.curate.plan import Run
from labeler.studies.curate.subsets import train_on
from labeler.verdict import not_worse

BLOCK = 0.1  # of the core that is left
TRAININGS = 2  # of each subset
RANDOM_SUBSETS = 3
JUDGES = 400  # images that decide, and as many others on which the outcome is measured
JUDGE_SEED = 7_000_003  # added to the seed of a stream of ships


@dataclass(frozen=True, slots=True)
class PruneStep:
    """One question that was answered: how the nets do without ``without`` of ``core`` pairs."""

    phase: str
    core: int
    without: int
    difference: float  # mean plain IoU over the judges, without minus with
    is_kept_out: bool


Told = Progress | PruneStep


@dataclass(frozen=True, slots=True)
class Jury:
    """Pairs that no subset holds: the first half decides, the second measures."""

    pairs: Pairs
    judges: Indices
    others: Indices


def jury_of(experiment: Experiment, taken: Sequence[int], *, count: int = JUDGES) -> Jury:
    """Fresh ships; of a folder the streamed pairs that were never labelled."""
    pairs = experiment.pairs
    if isinstance(pairs, ShipsPairs):
        places = np.arange(2 * count)
        return Jury(pairs.fresh(2 * count, offset=JUDGE_SEED), places[:count], places[count:])
    left = np.random.default_rng(4).permutation(np.setdiff1d(np.arange(len(pairs)), taken))
    half = min(count, len(left) // 2)
    return Jury(pairs, left[:half], left[half : 2 * half])


class Trials:
    """Nets trained on subsets; what they scored is kept in ``folder`` and never computed twice."""

    def __init__(self, pairs: Pairs, jury: Jury, settings: Settings, folder: Path) -> None:
        self.pairs, self.jury, self.settings, self.folder = pairs, jury, settings, folder

    def scores(self, subset: Sequence[int]) -> Generator[Progress, None, Floats]:
        """Plain IoU (2, trainings, images): of the judges, then of the others."""
        trained = []
        for number in range(TRAININGS):
            trained.append((yield from self._trained(sorted(subset), self.settings.seed + 1 + number)))
        return np.stack(trained, axis=1)

    def judged(self, subset: Sequence[int]) -> Generator[Progress, None, list[float]]:
        """Plain IoU of each judge, the mean over the trainings."""
        scores = yield from self.scores(subset)
        judged: list[float] = scores[0].mean(axis=0).tolist()
        return judged

    def _trained(self, subset: list[int], seed: int) -> Generator[Progress, None, Floats]:
        kept = self.folder / f"{sha256_of(json.dumps([subset, seed]).encode())[:24]}.npy"
        if kept.exists():
            scores: Floats = np.load(kept)
            return scores
        model = self.folder / "model.safetensors"
        masks = self.folder / "masks"
        yield from train_on(
            self.pairs, subset, masks_folder=masks, output=model, settings=self.settings, seed=seed, long=False
        )
        predictor = Predictor.load(model, device=self.settings.device)
        measured = []
        for places in (self.jury.judges, self.jury.others):
            agreement = yield from measure(predictor, self.jury.pairs, places, phase="judging")
            measured.append(agreement.plain)
        scores, payload = np.stack(measured), io.BytesIO()
        np.save(payload, scores)
        write_atomically(kept, payload.getvalue(), durable=False)
        return scores


def prune(
    experiment: Experiment, run: Run, history: Sequence[dict[str, Any]], *, judges: int = JUDGES
) -> Generator[Told, None, dict[str, Any]]:
    """Prune the labels of one run; the outcome is also in its folder, and a stopped one goes on."""
    folder = run.folder(experiment.out) / "pruned"
    folder.mkdir(parents=True, exist_ok=True)
    whole = sorted(int(label["index"]) for label in history)
    jury = jury_of(experiment, whole, count=judges)
    trials = Trials(experiment.pairs, jury, experiment.plan.settings(run.seed), folder)
    core = yield from eliminated(trials, whole, np.random.default_rng((run.seed, 5)))
    influence = yield from influences(trials, core)
    subsets = _random_subsets(experiment, jury, len(core), run.seed)
    rows = []
    for name, subset in (("whole core", whole), ("pruned core", core), *subsets):
        scores = yield from trials.scores(subset)
        rows.append({"subset": name, "labels": len(subset), **_figures(scores[1], experiment.plan.bar)})
    outcome = {
        "run": run.name,
        "judges": len(jury.judges),
        "others": len(jury.others),
        "whole": whole,
        "core": core,
        "influence": influence,
        "rows": rows,
    }
    write_atomically(folder / "pruned.json", json.dumps(outcome, indent=1).encode())
    return outcome


def eliminated(trials: Trials, whole: Sequence[int], rng: np.random.Generator) -> Generator[Told, None, list[int]]:
    """The core without the blocks that it can do without; always compared with the whole core, so nothing drifts."""
    core, removed = list(whole), True
    reference = yield from trials.judged(whole)
    while removed and len(core) > 1:
        removed = False
        order, size = rng.permutation(core), math.ceil(BLOCK * len(core))
        for start in range(0, len(order), size):
            block = {int(index) for index in order[start : start + size]}
            left = [index for index in core if index not in block]
            if not left:
                break
            judged = yield from trials.judged(left)
            is_out = not_worse(judged, reference)
            yield PruneStep("block", len(core), len(block), _difference(judged, reference), is_out)
            core, removed = (left, True) if is_out else (core, removed)
    return core


def influences(trials: Trials, core: Sequence[int]) -> Generator[Told, None, list[dict[str, Any]]]:
    """What each pair of the core is worth: mean plain IoU of the judges with it minus without it, and its error."""
    found: list[dict[str, Any]] = []
    if len(core) < 2:
        return found
    reference = yield from trials.judged(core)
    for index in core:
        judged = yield from trials.judged([other for other in core if other != index])
        worth = np.asarray(reference) - np.asarray(judged)
        error = float(worth.std(ddof=1) / math.sqrt(len(worth)))
        is_essential = not not_worse(judged, reference)
        found.append({"index": index, "worth": float(worth.mean()), "error": error, "is_essential": is_essential})
        yield PruneStep("leave one out", len(core), 1, -float(worth.mean()), not is_essential)
    return found


def _difference(judged: Sequence[float], reference: Sequence[float]) -> float:
    return float(np.mean(judged) - np.mean(reference))


def _random_subsets(experiment: Experiment, jury: Jury, size: int, seed: int) -> list[tuple[str, list[int]]]:
    """Subsets of the stream as large as the pruned core, none with an image of the jury."""
    free = np.arange(len(experiment.pairs))
    if jury.pairs is experiment.pairs:
        free = np.setdiff1d(free, np.concatenate([jury.judges, jury.others]))
    rng = np.random.default_rng((seed, 6))
    drawn = [rng.choice(free, min(size, len(free)), replace=False) for _ in range(RANDOM_SUBSETS)]
    return [(f"random {number}", [int(index) for index in subset]) for number, subset in enumerate(drawn, 1)]


def _figures(ious: Floats, bar: Bar) -> dict[str, float]:
    """Plain IoU of (trainings, images): mean, spread over the trainings, smallest, share below the bar."""
    means = ious.mean(axis=1)
    return {
        "mean": float(means.mean()),
        "spread": float(means.max() - means.min()),
        "min": float(ious.min()),
        "below": float((ious < bar.plain).mean()),
    }
