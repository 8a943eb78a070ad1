"""The report of an experiment: Markdown with plots and pictures beside, and every figure as JSON."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from labeler.files import write_atomically
from labeler.studies.curate.agreement import METRICS
from labeler.studies.curate.experiment import Experiment, figures_of
from labeler.studies.curate.figures import draw_all, run_of, title_of
from labeler.studies.curate.ours import NEARLY
from labeler.studies.report import markdown_table

REPORT, FIGURES = "report.md", "report.json"
WORST = 5  # images that are named
Result = dict[str, Any]


def write_report(experiment: Experiment, results: Sequence[Result], *, pruned: Sequence[Result] = ()) -> dict[str, Any]:
    """Write ``report.md`` and ``report.json`` into the experiment's folder; returns what the JSON holds."""
    told = {
        "source": experiment.name,
        "streamed": len(experiment.pairs),
        "fresh": None if experiment.fresh is None else len(experiment.fresh),
        "metric": experiment.plan.bar.metric,
        "threshold": experiment.plan.bar.threshold,
        "arms": [row for _, row in arm_rows(results)],
        "runs": list(results),
        "pruned": list(pruned),
        "worst": [_worst_of(experiment, run) for run in results],
    }
    pictures = draw_all(experiment, results)
    write_atomically(experiment.out / FIGURES, json.dumps(told, indent=1).encode())
    write_atomically(experiment.out / REPORT, _text(experiment, results, told, pictures).encode())
    return told


def arm_rows(results: Sequence[Result]) -> list[tuple[str, Result]]:
    """Arm -> its figures over seeds and folds: means, and the worst of what must not be bad."""
    by_arm: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_arm[result["arm"]].append(result)
    return [(arm, _arm_row(arm, runs)) for arm, runs in by_arm.items()]


def _arm_row(arm: str, runs: Sequence[Result]) -> Result:
    row: Result = {
        "arm": arm,
        "runs": len(runs),
        "labels": float(np.mean([run["labels"] for run in runs])),
        "most_labels": max(run["labels"] for run in runs),
        "walk_labels": float(np.mean([run["walk_labels"] for run in runs])),
        "minutes": float(np.mean([run["seconds"]["all"] for run in runs])) / 60,
    }
    for place in ("stream", "fresh"):
        measured = [run[place] for run in runs if run[place] is not None]
        row[place] = _place_row(measured) if measured else None
    return row


def _place_row(measured: Sequence[Result]) -> Result:
    """Means over the runs of mean and quantiles; the smallest value and the most below of all runs."""
    row: Result = {"below": max(summary["below"] for summary in measured)}
    for metric in METRICS:
        values = {name: [summary[metric][name] for summary in measured] for name in ("mean", "q01", "q05", "min")}
        row[metric] = {
            "mean": float(np.mean(values["mean"])),
            "spread": float(np.std(values["mean"], ddof=1)) if len(measured) > 1 else None,
            "q01": float(np.mean(values["q01"])),
            "q05": float(np.mean(values["q05"])),
            "min": min(values["min"]),
        }
    return row


def _text(
    experiment: Experiment, results: Sequence[Result], told: dict[str, Any], pictures: Sequence[tuple[str, str]]
) -> str:
    bar = experiment.plan.bar
    fresh = "" if told["fresh"] is None else f", and {told['fresh']} fresh ones that no run has streamed"
    parts = (
        f"# Curation of {experiment.name}",
        f"{told['streamed']} images streamed{fresh}. An image falls short where its **{METRICS[bar.metric]}** with the "
        f"true mask is below **{bar.threshold:g}** (a plain IoU below {bar.plain:.4g}).",
        "## Arms",
        arms_table(told["arms"], "stream", "the whole stream"),
        *([arms_table(told["arms"], "fresh", "the fresh stream")] if told["fresh"] is not None else []),
        "Labels are all that were asked for: core, holdout and those of the sweep. With several runs: means, but the "
        "smallest IoU and the most below of all runs. Minutes are of labelling, training and predicting, without the "
        "measuring of fresh images.",
        "## Pictures",
        *(f"{text[0].upper()}{text[1:]}:\n\n![{text}]({name})" for name, text in pictures),
        "## Runs",
        _runs_table(results),
        *_passes(results, bar.name),
        *_worst(told["worst"]),
        *_gates(results),
        *_pruning(told["pruned"]),
        *_rounds(results),
    )
    return "\n\n".join(parts) + "\n"


def arms_table(rows: Sequence[Result], place: str, title: str) -> str:
    """One line an arm: labels, minutes, and how its nets do on ``stream`` or ``fresh``."""
    named = [f"{name} {METRICS[metric]}" for metric in METRICS for name in ("mean", "1 %", "5 %", "min")]
    columns = ["arm", "runs", "labels", "minutes", f"below, of {title}", *named]
    lines = []
    for row in rows:
        figures = row[place]
        if figures is None:
            continue
        values = [f"{figures[m][name]:.4f}" for m in ("iou", "stepped") for name in ("mean", "q01", "q05", "min")]
        lines.append([row["arm"], row["runs"], *cost_of(row), figures["below"], *values])
    return markdown_table(columns, lines)


def cost_of(row: Result) -> tuple[str, str]:
    """An arm's mean labels and minutes, as they are shown."""
    return f"{round(row['labels'], 1):g}", f"{row['minutes']:.1f}"


def _runs_table(results: Sequence[Result]) -> str:
    figures = ("labels", "core", "holdout", "before the sweep", "rounds", "minutes", "below", "of which labelled")
    columns = ("arm", "seed", "fold", *figures, "ended")
    rows = [
        [
            *(run[name] for name in ("arm", "seed", "fold", "labels", "core", "holdout", "walk_labels")),
            len(run["rounds"]),
            f"{run['seconds']['all'] / 60:.1f}",
            run["stream"]["below"],
            run["stream"]["below_labelled"],
            run["ended"],
        ]
        for run in results
    ]
    return markdown_table(columns, rows)


def _passes(results: Sequence[Result], bar: str) -> list[str]:
    """The verified lower bound, pass by pass."""
    columns = ("run", "pass", "labels", f"below {bar}", "labelled", "min", "1 %", "5 %", "mean")
    rows = []
    for run in results:
        for number, item in enumerate(run["passes"], 1):
            figures = item[item["metric"]]
            values = [f"{figures[name]:.4f}" for name in ("min", "q01", "q05", "mean")]
            name = f"{run['arm']} seed {run['seed']} fold {run['fold']}"
            rows.append([name, number, item["labels"], item["below"], item["asked"], *values])
    if not rows:
        return []
    text = (
        "After the walk the model in use predicts every streamed image. The worst of those that fall short (the first "
        f"time also of those with a plain IoU less than {NEARLY:g} above) are labelled, a round is trained, and all "
        "are predicted again, until no image without a label falls short. "
        f"Figures are of {bar.rsplit(' ', 1)[0]} over the whole stream."
    )
    return ["## Verified lower bound", text, markdown_table(columns, rows)]


def _worst_of(experiment: Experiment, run: Result) -> Result:
    """The images behind a run's smallest figures: place in the source and plain IoU, the smallest first."""
    figures = figures_of(experiment.out, run_of(run))
    row: Result = {name: run[name] for name in ("arm", "seed", "fold")}
    for place in ("stream", "fresh"):
        ious = figures.get(f"{place}_plain", np.empty(0))
        indices = figures.get(f"{place}_index", np.arange(len(ious)))
        confidence = figures.get(f"{place}_confidence")  # none in older runs
        row[place] = [
            {
                "index": int(indices[at]),
                "iou": float(ious[at]),
                "confidence": None if confidence is None else float(confidence[at]),
            }
            for at in np.argsort(ious, kind="stable")[:WORST]
        ]
    return row


def _worst(rows: Sequence[Result]) -> list[str]:
    def listed(found: Sequence[Result]) -> str:
        return ", ".join(f"{item['index']} ({item['iou']:.4f}{sure(item['confidence'])})" for item in found)

    def sure(confidence: float | None) -> str:
        return "" if confidence is None else f"; {confidence:.3f}"

    lines = [[title_of(row), listed(row["stream"]), listed(row["fresh"])] for row in rows]
    text = (
        f"The {WORST} images with the smallest plain IoU: place in the source, from 0, plain IoU, and the confidence "
        "that the model gave its mask (soft IoU x stability, not calibrated)."
    )
    return ["## Worst images", text, markdown_table(("run", "of the whole stream", "of the fresh stream"), lines)]


def _gates(results: Sequence[Result]) -> list[str]:
    """What a gate at the bar would have passed, which knows no truth."""
    columns = ("run", "stream", "images", "below", "accepted unseen", "of these below")
    rows = []
    for run in results:
        for place in ("stream", "fresh"):
            figures = run[place]
            if figures is not None and "gate" in figures:  # older runs have none
                gate = figures["gate"]
                counts = (figures["images"], figures["below"], gate["accepted"], gate["accepted_below"])
                rows.append([title_of(run), place, *counts])
    if not rows:
        return []
    text = (
        "The last model's masks behind a gate at the bar, in plain IoU: how many have a confidence (soft IoU x "
        "stability) of at least that, and how many of these fall short all the same. The others wait for a person."
    )
    return ["## A gate at the bar", text, markdown_table(columns, rows)]


def _rounds(results: Sequence[Result]) -> list[str]:
    rows = [
        [
            f"{run['arm']} seed {run['seed']} fold {run['fold']}",
            number,
            item["core"],
            item.get("steps"),
            item.get("epochs"),
            f"{item['seconds']:.1f}",
            item.get("published"),
        ]
        for run in results
        for number, item in enumerate(run["rounds"], 1)
    ]
    return ["## Rounds", markdown_table(("run", "round", "core", "steps", "epochs", "seconds", "published"), rows)]


def _pruning(pruned: Sequence[Result]) -> list[str]:
    return [part for outcome in pruned for part in _pruned(outcome)]


def _pruned(outcome: Result) -> list[str]:
    whole, core, influence = outcome["whole"], outcome["core"], outcome["influence"]
    essential = sum(pair["is_essential"] for pair in influence)
    columns = ("subset", "labels", "mean plain IoU", "between two trainings", "min plain IoU", "share below")
    rows = [
        [row["subset"], row["labels"], *(f"{row[name]:.4f}" for name in ("mean", "spread", "min", "below"))]
        for row in outcome["rows"]
    ]
    worth = [
        [f"#{pair['index']}", f"{pair['worth']:+.5f}", f"{pair['error']:.5f}", pair["is_essential"]]
        for pair in sorted(influence, key=lambda pair: -pair["worth"])
    ]
    return [
        f"## Is every label of {outcome['run']} essential?",
        f"{len(core)} of {len(whole)} labels are left when blocks of a tenth are left out as long as nets trained from "
        "nothing without them are not worse: by more than one standard error of the paired plain IoU of "
        f"{outcome['judges']} judging images, two trainings each. {essential} of the {len(core)} are essential each by "
        f"itself. Measured on {outcome['others']} other images, beside random subsets of equal size:",
        markdown_table(columns, rows),
        "Leave-one-out influence: mean plain IoU of the judges with the pair minus without it.",
        markdown_table(("pair", "worth", "standard error", "essential"), worth),
    ]
