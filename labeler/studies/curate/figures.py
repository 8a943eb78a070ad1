"""The pictures of a report: how the core grew, how the IoU is distributed, and what the core holds."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from PIL import Image as PILImage

from labeler.files import write_atomically
from labeler.studies.charts import Axis, Line, Mark, chart
from labeler.studies.curate.agreement import METRICS, Bar
from labeler.studies.curate.experiment import Experiment, figures_of
from labeler.studies.curate.plan import Run
from labeler.studies.report import Picture, sheet

SHOWN_RUNS = 8  # lines in a chart
IN_A_ROW, MOST_ROWS = 11, 12  # tiles of a sheet
Result = dict[str, Any]


def draw_all(experiment: Experiment, results: Sequence[Result]) -> list[tuple[str, str]]:
    """Write every picture into the experiment's folder: (file name, what it shows)."""
    shown = one_of_each_arm(results)
    streamed, bar = len(experiment.pairs), experiment.plan.bar
    place = "fresh" if experiment.fresh is not None else "stream"
    pictures = [
        ("surfaced.png", "share of the stream that was labelled", surfaced_chart(shown, streamed)),
        ("core.png", "labels over the stream", core_chart(shown, streamed)),
        ("distribution.png", f"plain IoU on the {place} images", distribution_chart(experiment, shown, place)),
    ]
    if len({result["labels"] for result in results}) > 1:
        pictures.append(("labels.png", "what the labels bought", labels_chart(results, place, bar)))
    for result in shown:
        if result["labels"] <= IN_A_ROW * MOST_ROWS or result["arm"] != "all":
            name = f"pairs-{run_of(result).name}.png"
            pictures.append((name, f"{title_of(result)}: labelled pairs by round", pairs_sheet(experiment, result)))
    for name, _, picture in pictures:
        payload = io.BytesIO()
        picture.save(payload, "PNG")
        write_atomically(experiment.out / name, payload.getvalue(), durable=False)
    return [(name, text) for name, text, _ in pictures]


def run_of(result: Result) -> Run:
    """The run that a result is of."""
    return Run(result["arm"], result["seed"], result["fold"])


def title_of(result: Result) -> str:
    """A run in words."""
    fold = f", fold {result['fold']}" if result["fold"] else ""
    return f"{result['arm']}, seed {result['seed']}{fold}"


def one_of_each_arm(results: Sequence[Result]) -> list[Result]:
    """The first run of each arm, then others of ours, as many as a chart can show."""
    first: dict[str, Result] = {}
    for result in results:
        first.setdefault(result["arm"], result)
    more = [result for result in results if result["arm"] == "ours" and result is not first["ours"]]
    return [*first.values(), *more][:SHOWN_RUNS]


def _grown(result: Result) -> tuple[np.ndarray, np.ndarray]:
    """(places in the stream where a label was made, labels so far), the start and the end of the stream included."""
    places = np.sort([label["position"] for label in result["history"]]) + 1
    counts = np.arange(1, len(places) + 1)
    return np.append(places, result["streamed"]), np.append(counts, len(places))


def surfaced_chart(results: Sequence[Result], streamed: int) -> PILImage.Image:
    """Labels among the first n images of the stream, divided by n."""
    lines = []
    for result in results:
        places, counts = _grown(result)
        lines.append(Line(title_of(result), places.tolist(), (counts / places).tolist()))
    x = Axis("images of the stream, in its order", low=0, high=streamed)
    return chart(
        "Share of the stream that was labelled", lines, x=x, y=Axis("labels / images", is_log=True, is_share=True)
    )


def core_chart(results: Sequence[Result], streamed: int) -> PILImage.Image:
    """How many labels the first n images of the stream took."""
    lines = []
    for result in results:
        places, counts = _grown(result)
        lines.append(Line(title_of(result), [0, *places.tolist()], [0, *counts.tolist()], is_stepped=True))
    x = Axis("images of the stream, in its order", low=0, high=streamed)
    return chart("Labels over the stream", lines, x=x, y=Axis("labels (core, holdout, sweep)", low=0))


def distribution_chart(experiment: Experiment, results: Sequence[Result], place: str) -> PILImage.Image:
    """Share of the images below each plain IoU; the tail on a logarithmic axis."""
    lines = []
    for result in results:
        ious = np.sort(figures_of(experiment.out, run_of(result))[f"{place}_plain"])
        shares = np.arange(1, len(ious) + 1) / len(ious)
        lines.append(Line(title_of(result), ious.tolist(), shares.tolist(), is_stepped=True))
    low = max(0.0, min((line.x[0] for line in lines), default=0.0) - 0.02)
    bar = experiment.plan.bar
    mark = Mark(bar.plain, f"{bar.name}{'' if bar.metric == 'iou' else f' (plain {bar.plain:g})'}")
    return chart(
        f"Plain IoU with the true masks, {place} images",
        lines,
        x=Axis("plain IoU", low=min(low, bar.plain - 0.02), high=1.0),
        y=Axis("share of images at or below", is_log=True, is_share=True, high=1.0),
        marks=[mark],
    )


def labels_chart(results: Sequence[Result], place: str, bar: Bar) -> PILImage.Image:
    """Mean IoU, in the metric of the bar, over the number of labels: a dot a run, the random ones joined."""
    lines = []
    is_random = [result["arm"].startswith("random-") for result in results]
    for name, chosen in (
        ("random", [result for result, random in zip(results, is_random, strict=True) if random]),
        *((arm, [result for result in results if result["arm"] == arm]) for arm in ("ours", "article", "all")),
    ):
        if chosen:
            points = sorted((result["labels"], result[place][bar.metric]["mean"]) for result in chosen)
            joined = [(x, float(np.mean([y for _, y in group]))) for x, group in groupby(points, key=lambda at: at[0])]
            x, y = zip(*joined, strict=True)
            lines.append(Line(name, x, y, has_dots=True))
    means = [y for line in lines for y in line.y]
    room = 0.08 * max(max(means) - min(means), 0.01)
    return chart(
        f"Mean {METRICS[bar.metric]}, {place} images",
        lines,
        x=Axis("labels", low=0.8 * min(x for line in lines for x in line.x), is_log=True),
        y=Axis(f"mean {METRICS[bar.metric]}", low=min(means) - room, high=min(1.0, max(means) + room)),
    )


def pairs_sheet(experiment: Experiment, result: Result) -> PILImage.Image:
    """The labelled pairs with the outline of their true mask, a row a round, with the IoU that the net had there."""
    rows: list[tuple[str, list[Picture]]] = []
    for number, group in groupby(result["history"], key=lambda label: label["round"]):
        labels = list(group)
        made = ", by the sweep" if all(label["sweep"] for label in labels) else ""
        for start in range(0, len(labels), IN_A_ROW):
            more = "" if start == 0 else ", continued"
            tiles = [_tile(experiment, label) for label in labels[start : start + IN_A_ROW]]
            count = "1 label" if len(labels) == 1 else f"{len(labels)} labels"
            rows.append((f"round {number}: {count}{made}{more}", tiles))
    return sheet(rows[:MOST_ROWS])


def _tile(experiment: Experiment, label: Result) -> Picture:
    index = label["index"]
    known = [(name, label.get(key)) for key, name in METRICS.items()]
    had = [f"{name} {value:.2f}" for name, value in known if value is not None]
    caption = " ".join([f"#{label['position']}", *had, *(["holdout"] if label["split"] == "holdout" else [])])
    return Picture(experiment.pairs.image(index), experiment.pairs.mask(index), None, caption)
