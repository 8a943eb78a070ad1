"""Test IoU against the number of labels on real sets: the program's own queue beside a random one.

    python tests/benchmarks/labels.py --out DIR [--data FOLDER] [--jobs 2]

Each walk is one growing project: at each count the model in use predicts a test split that is always the same. The
same command goes on where it was stopped; two processes (or ``--jobs 2``) share the work. ``results.jsonl`` in DIR
has a line for each (set, arm, seed, count), ``table.md`` the table; ``--table`` prints it and computes nothing.

Test splits, 25 % of the images: dsb2018_nuclei within each group; cells_usiigaci by the image that the tiles were cut
from; magnetic_tile by clusters of near-duplicates (difference hashes within 10 of 256 bits), within each class.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PILImage

from labeler.device import set_threads
from labeler.driving import drain
from labeler.errors import ProjectLocked
from labeler.files import sha256_of
from labeler.inference import Predictor
from labeler.lock import FolderLock
from labeler.loop import Loop
from labeler.project import Project
from labeler.records import ImageRecord, Progress
from labeler.settings import Settings, settings_from
from labeler.studies.curate.agreement import Bar, measure
from labeler.studies.curate.pairs import FilePairs, PairsOracle, stream_items
from labeler.studies.curate.subsets import train_on
from labeler.studies.report import markdown_table
from labeler.studies.walking import Budget, SimulatedRound, Walker

SETS = ("dsb2018_nuclei", "cells_usiigaci", "magnetic_tile")
COUNTS = (8, 12, 16, 24, 36, 48, 72)
SHOWN = (8, 24, 72)
SECOND_SEED_UNTIL = 24
TEST_SHARE = 0.25
SPLIT_SEED = 2018
ALIKE = 10  # bits of 256 in which the hashes of near-duplicates differ, at most
NEVER = 1.0  # a gate that nearly nothing passes: the queue never runs dry before the count is reached
SHARES = (0.95, 0.98)
ARMS = ("ours", "random")
Row = dict[str, str]


@dataclass(frozen=True)
class Task:
    """One walk, or one training with all labels."""

    name: str
    arm: str
    seed: int
    counts: tuple[int, ...] = ()

    @property
    def folder(self) -> str:
        return f"{self.name}-{self.arm}-s{self.seed}"


# -- sets and their test splits -------------------------------------------------------------------------------


def load(folder: Path) -> tuple[FilePairs, list[Row]]:
    """All pairs of a set, and the row of its index for each."""
    with (folder / "index.csv").open(encoding="utf-8", newline="") as stream:
        rows = sorted(csv.DictReader(stream), key=lambda row: row["stem"])
    images = tuple(folder / "images" / f"{row['stem']}.png" for row in rows)
    return FilePairs(images, tuple(folder / "masks" / path.name for path in images)), rows


def places_for_test(name: str, pairs: FilePairs, rows: Sequence[Row]) -> list[int]:
    """Places of the test images; what belongs together is never split."""
    if name == "dsb2018_nuclei":
        return drawn(by(rows, lambda at: (rows[at]["group"], at)))
    if name == "cells_usiigaci":
        return drawn(by(rows, lambda at: ("", rows[at]["source_stem"])))
    clusters = near_duplicates([_difference_hash(path) for path in pairs.images])
    return drawn(by(rows, lambda at: (rows[clusters[at]]["group"], clusters[at])))


def by(rows: Sequence[Row], key: Callable[[int], tuple[str, object]]) -> dict[str, list[list[int]]]:
    """Stratum -> the sets of places that must stay together."""
    strata: dict[str, dict[object, list[int]]] = defaultdict(lambda: defaultdict(list))
    for at in range(len(rows)):
        stratum, together = key(at)
        strata[stratum][together].append(at)
    return {stratum: list(sets.values()) for stratum, sets in strata.items()}


def drawn(strata: dict[str, list[list[int]]]) -> list[int]:
    rng, chosen = np.random.default_rng(SPLIT_SEED), []
    for stratum in sorted(strata):
        sets = strata[stratum]
        wanted, taken = TEST_SHARE * sum(map(len, sets)), 0
        for at in rng.permutation(len(sets)):
            if taken + len(sets[at]) / 2 > wanted:
                break
            chosen += sets[at]
            taken += len(sets[at])
    return sorted(chosen)


def _difference_hash(path: Path) -> np.ndarray:
    with PILImage.open(path) as image:
        grey = np.asarray(image.convert("L").resize((17, 16), PILImage.Resampling.BILINEAR), np.int16)
    return (grey[:, 1:] > grey[:, :-1]).ravel()


def near_duplicates(hashes: Sequence[np.ndarray]) -> list[int]:
    """For each image the first of its cluster: chains of hashes that differ in at most ALIKE bits."""
    bits = np.stack(hashes)
    first = np.arange(len(bits))
    for at in range(len(bits)):
        alike = np.flatnonzero((bits[at] != bits).sum(axis=1) <= ALIKE)
        merged = np.isin(first, first[alike])
        first[merged] = first[merged].min()
    return [int(place) for place in first]


# -- work -----------------------------------------------------------------------------------------------------


def tasks_of(options: argparse.Namespace) -> list[Task]:
    """Everything there is to do, the longest first."""
    counts = tuple(sorted(options.counts))
    tasks = []
    for name in options.sets:
        for seed in range(options.seeds):
            wanted = counts if seed == 0 else tuple(count for count in counts if count <= SECOND_SEED_UNTIL)
            tasks += [Task(name, arm, seed, wanted) for arm in options.arms]
        tasks.append(Task(name, "all", 0))
    return sorted(tasks, key=lambda task: (task.seed, task.arm != "all"))


def work(options: argparse.Namespace) -> None:
    """Do what nobody has done or is doing."""
    set_threads(options.threads)
    done = {(line["set"], line["arm"], line["seed"], line["count"]) for line in lines_of(options.out)}
    for task in tasks_of(options):
        missing = [count for count in task.counts if (task.name, task.arm, task.seed, count) not in done]
        if (task.counts and not missing) or (not task.counts and any(key[:2] == (task.name, "all") for key in done)):
            continue
        folder = options.out / task.folder
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(ProjectLocked):
            lock = FolderLock(folder / "claim")
            try:
                Job(task, options, folder).run(missing)
            finally:
                lock.release()


class RandomWalker(Walker):
    """The same loop with a queue in a random order, another one for each seed."""

    def queue(self, *, limit: int) -> list[ImageRecord]:
        """The next queries."""
        seed = self.loop.project.settings.seed
        waiting = self.loop.queue(order="random")
        return sorted(waiting, key=lambda record: sha256_of(f"{seed} {record.sha256}".encode()))[:limit]


class Job:
    """One task at work in its folder."""

    def __init__(self, task: Task, options: argparse.Namespace, folder: Path) -> None:
        self.task, self.options, self.folder = task, options, folder
        self.pairs, rows = load(options.data / task.name)
        self.test = places_for_test(task.name, self.pairs, rows)
        self.groups = [rows[at]["group"] for at in self.test]
        held = set(self.test)
        self.train = np.array([at for at in range(len(rows)) if at not in held])

    def run(self, counts: Sequence[int]) -> None:
        """Grow and measure at each of ``counts``; all labels where there are none."""
        if self.task.arm == "all":
            self._train_on_all()
        else:
            self._walk(counts)

    def _settings(self, **changes: Any) -> Settings:
        return settings_from({"seed": self.task.seed, **dict(self.options.set), **changes}, source="labels.py")

    def _train_on_all(self) -> None:
        training = train_on(
            self.pairs,
            [int(at) for at in self.train],
            masks_folder=self.folder / "masks",
            output=self.folder / "model.safetensors",
            settings=self._settings(),
            seed=1,
        )
        result = drain(training)
        figures = {"rounds": 1, "steps": result.steps, "minutes": result.seconds / 60}
        self._record(len(self.train), result.path, **figures)

    def _walk(self, counts: Sequence[int]) -> None:
        place = self.folder / "project"
        project = (
            Project.open(place)
            if (place / "project.toml").exists()
            else Project.create(place, settings=self._settings(threshold=NEVER))
        )
        with project:
            known = project.known_paths()
            order = np.random.default_rng(self.task.seed).permutation(self.train)
            missing = [at for at in order if self.pairs.path(int(at)) not in known]
            project.add(list(stream_items(self.pairs, np.array(missing, np.int64))))
            for count in counts:
                self._grow(project, count)

    def _grow(self, project: Project, count: int) -> None:
        begin = time.monotonic()
        loop, oracle, budget = Loop(project), PairsOracle(self.pairs), Budget(labels=count)
        kind = Walker if self.task.arm == "ours" else RandomWalker
        walker = kind(loop, oracle, budget=budget)
        drain(walker.work_off(sweep=False), lambda told: isinstance(told, Progress) or self._say(told, project))
        champion = project.champion()
        assert champion is not None
        spent = sum(event.payload["minutes"] for event in project.events(kind="grown"))
        minutes = (time.monotonic() - begin) / 60
        project.log("grown", minutes=minutes, count=count)
        rounds = project.rounds()
        figures = {"rounds": len(rounds), "steps": sum(r.steps for r in rounds), "minutes": spent + minutes}
        self._record(count, champion.path, labels=project.counts().labelled, core=project.counts().core, **figures)

    def _say(self, line: SimulatedRound, project: Project) -> None:
        labelled, seconds = project.counts().labelled, line.training_seconds + line.prediction_seconds
        say(f"{self.task.folder}: round {line.number}, {labelled} labels, {seconds:.0f} s")

    def _record(self, count: int, model: Path, **figures: Any) -> None:
        predictor = Predictor.load(model, device=self._settings().device)
        agreement = drain(measure(predictor, self.pairs, self.test, settings=self._settings()))
        summary = agreement.summary(Bar())
        line = {
            "set": self.task.name,
            "arm": self.task.arm,
            "seed": self.task.seed,
            "count": count,
            "iou": summary["iou"]["mean"],
            "stepped": summary["stepped"]["mean"],
            "below": summary["below"],
            "test": len(self.test),
            "groups": {
                group: float(agreement.plain[[name == group for name in self.groups]].mean())
                for group in sorted(set(self.groups))
            },
            **figures,
        }
        with (self.options.out / "results.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        say(f"{self.task.folder}: {count} labels, mean plain IoU {line['iou']:.4f} on {len(self.test)} test images")


def say(text: str) -> None:
    """A line at once."""
    print(text, flush=True)


# -- table ----------------------------------------------------------------------------------------------------


def lines_of(out: Path) -> list[dict[str, Any]]:
    """The results so far; a line that was torn by a kill is left out."""
    found = []
    with suppress(FileNotFoundError):
        for text in (out / "results.jsonl").read_text("utf-8").splitlines():
            with suppress(ValueError):
                found.append(json.loads(text))
    return found


def labels_for(curve: dict[int, float], wanted: float) -> float | None:
    """Labels at which a curve (count -> IoU) first reaches ``wanted``; between two counts on a line over log labels."""
    counts = sorted(curve)
    for low, high in zip([None, *counts], counts, strict=False):
        if curve[high] >= wanted:
            if low is None or curve[high] == curve[low]:
                return float(high)
            share = (wanted - curve[low]) / (curve[high] - curve[low])
            return float(np.exp(np.log(low) + share * (np.log(high) - np.log(low))))
    return None


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Both tables as Markdown: IoU at the counts, and what 95 % and 98 % of the ceiling take."""
    shown = [f"{count} labels" for count in SHOWN]
    columns = [
        "set",
        "arm",
        *shown,
        "all",
        *[f"{what} for {share:.0%}" for share in SHARES for what in ("labels", "min")],
    ]
    rows = []
    for name in sorted({line["set"] for line in lines}):
        ceiling = next((line for line in lines if line["set"] == name and line["arm"] == "all"), None)
        for arm in ARMS:
            own = [line for line in lines if (line["set"], line["arm"]) == (name, arm)]
            if own:
                rows.append([name, arm, *(_at(own, count) for count in SHOWN), _all(ceiling), *_needed(own, ceiling)])
    text = (
        "Mean plain IoU on the test images. With several seeds: the mean and, in brackets, each seed. Labels are core "
        "and holdout; minutes are of training and predicting on one thread, without a person. Between two measured "
        "counts, labels and minutes are interpolated over the logarithm of the labels (`>` where the largest count "
        "does not reach it)."
    )
    return f"{text}\n\n{markdown_table(columns, rows)}\n"


def _at(own: Iterable[dict[str, Any]], count: int) -> str:
    ious = [line["iou"] for line in sorted(own, key=lambda line: line["seed"]) if line["count"] == count]
    if not ious:
        return "-"
    each = f" ({', '.join(f'{iou:.3f}' for iou in ious)})" if len(ious) > 1 else ""
    return f"{np.mean(ious):.3f}{each}"


def _all(ceiling: dict[str, Any] | None) -> str:
    return "-" if ceiling is None else f"{ceiling['iou']:.3f} ({ceiling['count']}, {ceiling['minutes']:.0f} min)"


def _needed(own: Sequence[dict[str, Any]], ceiling: dict[str, Any] | None) -> list[str]:
    """Labels and minutes for each share of the ceiling, from the means over the seeds."""
    curve, minutes = _means(own, "iou"), _means(own, "minutes")
    cells = []
    for share in SHARES:
        labels = None if ceiling is None else labels_for(curve, share * ceiling["iou"])
        if ceiling is None:
            cells += ["-", "-"]
        elif labels is None:
            cells += [f"> {max(curve)}", f"> {minutes[max(curve)]:.0f}"]
        else:
            spent = np.interp(np.log(labels), np.log(sorted(minutes)), [minutes[count] for count in sorted(minutes)])
            cells += [f"{labels:.0f} ({labels / ceiling['count']:.0%})", f"{spent:.1f}"]
    return cells


def _means(own: Sequence[dict[str, Any]], what: str) -> dict[int, float]:
    """Count -> mean over the seeds."""
    counts = sorted({line["count"] for line in own})
    return {count: float(np.mean([line[what] for line in own if line["count"] == count])) for count in counts}


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beside = Path(__file__).parents[3] / "shared" / "data"
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LABELER_DATA", beside)))
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--counts", nargs="+", type=int, default=list(COUNTS))
    parser.add_argument("--seeds", type=int, default=2, help=f"the first goes on beyond {SECOND_SEED_UNTIL} labels")
    parser.add_argument("--set", action="append", default=[], type=_change, metavar="NAME=VALUE", help="a setting")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of each job")
    parser.add_argument("--table", action="store_true")
    return parser.parse_args(arguments)


def _change(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    with suppress(ValueError):
        return name, json.loads(value)
    return name, value


def main() -> None:
    """Share the work, then print the table."""
    options = parsed()
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.table:
        again = [sys.executable, *sys.argv, "--jobs", "1"]
        others = [subprocess.Popen(again, stdout=subprocess.DEVNULL) for _ in range(options.jobs - 1)]
        work(options)
        for other in others:
            other.wait()
    text = table(lines_of(options.out))
    (options.out / "table.md").write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
