"""What an experiment is to do: arms, seeds, folds, and where each of its runs lies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from labeler.errors import SettingsError
from labeler.settings import Settings, settings_from
from labeler.studies.curate.agreement import Bar
from labeler.studies.curate.pairs import Indices
from labeler.studies.walking import Budget

_ARM = re.compile(r"ours|article|all|random-([1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class Plan:
    """All that decides a run's outcome besides the pairs, its arm, its seed and its fold."""

    bar: Bar = field(default_factory=Bar)
    budget: Budget = field(default_factory=Budget)
    shuffled: bool = False  # the order of the stream, by the seed of the run
    folds: int = 1
    chunk: int = 0  # images that the project of ``ours`` takes up at a time; 0 = all at once
    order: str | None = None  # of the queue of ``ours``; None: what the program does
    changes: dict[str, Any] = field(default_factory=dict)  # settings that differ from the defaults
    article_width: int = 16
    article_precision: float = 0.85

    def settings(self, seed: int) -> Settings:
        """Settings of the project and of every arm with its trainer."""
        # A higher gate asks for what is right but faint; what is below the bar is found by the sweep, with the truth.
        gate = min(Settings().threshold, self.bar.plain)
        # A probe is a label that no arm asks for.
        values = {"threshold": gate, "seed": seed, "probe_share": 0.0, **self.changes}
        return settings_from(values, source="curate")

    def ordered(self, count: int, seed: int) -> Indices:
        """Places of the pairs in the order in which a run with this seed streams them."""
        return np.random.default_rng((seed, 1)).permutation(count) if self.shuffled else np.arange(count)


@dataclass(frozen=True, slots=True)
class Run:
    """One arm with one seed on one fold; the folds of an arm and a seed have disjoint cores."""

    arm: str
    seed: int
    fold: int

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.arm}-s{self.seed}-f{self.fold}"

    @property
    def random_labels(self) -> int | None:
        """N of ``random-N``."""
        found = _ARM.fullmatch(self.arm)
        return int(found[1]) if found and found[1] else None

    def folder(self, out: Path) -> Path:
        """Where it keeps its model, its project and its result."""
        return out / "runs" / self.name


def runs_of(arms: Sequence[str], seeds: Sequence[int], folds: int) -> list[Run]:
    """Every run, fold after fold; SettingsError for an arm that is none."""
    for arm in arms:
        if not _ARM.fullmatch(arm):
            raise SettingsError(f"{arm}: is no arm; choose ours, article, all or random-N (such as random-16)")
    return [
        Run(arm, seed, fold) for arm in dict.fromkeys(arms) for seed in dict.fromkeys(seeds) for fold in range(folds)
    ]
