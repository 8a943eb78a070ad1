"""The command that repeats the article's experiment beside ours."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from labeler.cli.console import emit, follow, say, table

if TYPE_CHECKING:
    from labeler.studies.curate.experiment import Experiment
    from labeler.studies.curate.pairs import Pairs
    from labeler.studies.curate.plan import Plan

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="ships:10000?seed=1, which knows its masks, or images with --reference.",
        show_default=False,
    ),
]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder for runs and report; what is done there is kept.")]
Arms = Annotated[list[str], typer.Option(metavar="ARM", help="ours, article, all or random-N; may be repeated.")]
Reference = Annotated[Path | None, typer.Option(metavar="MASKS", help="Folder of the true masks.")]
Seeds = Annotated[list[int], typer.Option(min=0, help="Seed of the runs; may be repeated.")]
Shuffle = Annotated[bool, typer.Option("--shuffle", help="Shuffle the stream by the seed.")]
Distractor = Annotated[
    Literal["rectangle", "triangle"] | None, typer.Option(help="What lies beside the ships.", show_default=False)
]
MetricName = Annotated[Literal["iou", "stepped"], typer.Option(help="Plain or stepped IoU for the threshold.")]
Threshold = Annotated[float, typer.Option(min=0, max=1, help="What no image may fall below.")]
Labels = Annotated[int | None, typer.Option(min=2, help="Most labels of ours and article.")]
Minutes = Annotated[float | None, typer.Option(min=0, help="Ours and article end after this time.")]
Folds = Annotated[int, typer.Option(min=1, max=100, help="Disjoint cores from the one stream.")]
Chunk = Annotated[int, typer.Option(min=0, help="Images that ours takes up at a time; 0: all at once.")]
Order = Annotated[
    str | None, typer.Option(metavar="NAME", help="Order of the queue of ours.", show_default="the program's")
]
Change = Annotated[
    list[str], typer.Option("--set", metavar="NAME=VALUE", help="A setting of the project; may be repeated.")
]
Width = Annotated[int, typer.Option(min=1, max=64, help="Base width of the article's net.")]
Precision = Annotated[float, typer.Option(min=0, max=1, help="The article's precision.")]
Fresh = Annotated[int | None, typer.Option(min=0, help="Fresh ships to measure on.", show_default="as many")]
Prune = Annotated[bool, typer.Option("--prune", help="Ask of every label of the first run whether it is essential.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, for scripts.")]


def curate(
    source: Source,
    out: Out,
    arm: Arms = ["ours"],  # noqa: B006 - typer makes new ones
    reference: Reference = None,
    seed: Seeds = [0],  # noqa: B006
    shuffle: Shuffle = False,
    distractor: Distractor = None,
    metric: MetricName = "iou",
    threshold: Threshold = 0.8075,
    labels: Labels = None,
    minutes: Minutes = None,
    folds: Folds = 1,
    chunk: Chunk = 0,
    order: Order = None,
    change: Change = [],  # noqa: B006
    width: Width = 16,
    precision: Precision = 0.85,
    fresh: Fresh = None,
    prune: Prune = False,
    as_json: Json = False,
) -> None:
    """Repeat the article's experiment: how few labels a stream needs, ours beside honest baselines.

    Interrupt it at will: the same command goes on. Plain IoU decides unless --metric stepped, the article's own metric.
    """
    from labeler.acquisition import ACQUISITIONS
    from labeler.device import set_threads
    from labeler.studies.curate.agreement import Bar
    from labeler.studies.curate.experiment import Experiment
    from labeler.studies.curate.pairs import take_in
    from labeler.studies.curate.plan import Plan, runs_of
    from labeler.studies.curate.report import REPORT, write_report
    from labeler.studies.walking import Budget

    if order is not None and order not in ACQUISITIONS:
        raise typer.BadParameter(f"one of {', '.join(ACQUISITIONS)} is needed", param_hint="--order")
    runs_of(arm, seed, folds)  # a mistyped arm or setting is refused before anything is drawn
    plan = Plan(
        bar=Bar(metric, threshold),
        budget=Budget(labels, minutes),
        shuffled=shuffle,
        folds=folds,
        chunk=chunk,
        order=order,
        changes=_changes(change),
        article_width=width,
        article_precision=precision,
    )
    set_threads(plan.settings(seed[0]).threads)
    name = _with_distractor(source, distractor)
    pairs = follow(take_in(name, reference, out / "stream"), "stream")
    experiment = Experiment(name, pairs, _fresh(pairs, fresh), plan, out)
    results = follow(experiment.results(arm, seed), "curate", each=_teller(as_json))
    pruned = [_pruned(experiment, results, _teller(as_json))] if prune else []
    told = write_report(experiment, results, pruned=pruned)
    if as_json:
        emit({"event": "report", "report": str(out / REPORT), "arms": told["arms"]})
        return
    _say_arms(told, plan)
    say(f"report: {out / REPORT}")


def _with_distractor(source: str, distractor: str | None) -> str:
    """The source with its distractor written into it, so that it can be told from the other."""
    if distractor is None:
        return source
    if not source.startswith("ships:") or "distractor=" in source:
        raise typer.BadParameter("only for ships:N, and only once", param_hint="--distractor")
    return f"{source}{'&' if '?' in source else '?'}distractor={distractor}"


def _changes(texts: list[str]) -> dict[str, Any]:
    """NAME=VALUE as settings take them; a value that is no TOML is text."""
    import tomllib

    changes: dict[str, Any] = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark:
            raise typer.BadParameter(f"{text}: NAME=VALUE is needed", param_hint="--set")
        try:
            changes[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            changes[name] = value
    return changes


def _fresh(pairs: Pairs, count: int | None) -> Pairs | None:
    from labeler.studies.curate.pairs import ShipsPairs

    if not isinstance(pairs, ShipsPairs):
        return None
    wanted = len(pairs) if count is None else count
    return pairs.fresh(wanted) if wanted else None


def _pruned(experiment: Experiment, results: list[dict[str, Any]], tell: Any) -> dict[str, Any]:
    """The first run of ours, else the first of all."""
    from labeler.studies.curate.figures import run_of
    from labeler.studies.curate.pruning import prune

    chosen = next((result for result in results if result["arm"] == "ours"), results[0])
    outcome: dict[str, Any] = follow(prune(experiment, run_of(chosen), chosen["history"]), "prune", each=tell)
    return outcome


def _teller(as_json: bool) -> Any:
    """What to do with each thing that a run tells: a line for a person, or one of JSON."""

    def tell(item: Any) -> None:
        event, values, line = _told(item)
        if as_json:
            emit({"event": event, **values})
        else:
            say(line)

    return tell


def _told(item: Any) -> tuple[str, dict[str, Any], str]:
    """Name, figures and line of one item."""
    from labeler.studies.curate.article import ArticleRound
    from labeler.studies.curate.experiment import RunEnded, RunStarted
    from labeler.studies.curate.ours import SweepPass
    from labeler.studies.curate.pruning import PruneStep

    if isinstance(item, RunStarted):
        name = item.run.name
        return (
            "run",
            {"run": name, "is_done": item.is_done},
            f"{name}: {'is there already' if item.is_done else 'starts'}",
        )
    if isinstance(item, RunEnded):
        return "result", {"run": item.run.name, **item.result}, _ended_line(item.run.name, item.result)
    if isinstance(item, SweepPass):
        plain = item.agreement.plain
        low = f"{item.below} of {len(plain)} below, min plain IoU {plain.min():.4f}"
        line = f"  pass {item.number}: {item.labels} labels, {low}, {item.asked} more are labelled"
        figures = {"below": item.below, "min_iou": float(plain.min()), "mean_iou": float(plain.mean())}
        return "pass", {"pass": item.number, "labels": item.labels, "asked": item.asked, **figures}, line
    if isinstance(item, PruneStep):
        verdict = "can be left out" if item.is_kept_out else "is needed"
        line = f"  {item.phase}: {item.without} of {item.core} {verdict}, mean plain IoU {item.difference:+.5f} without"
        return "prune", asdict(item), line
    if isinstance(item, ArticleRound):
        line = (
            f"  round {item.number}: {item.position} streamed, core {item.core} (+{item.added}), {item.epochs} epochs "
            f"to a running stepped IoU of {item.running:.4f}, {item.seconds:.1f} s"
        )
        return "round", asdict(item), line
    iou = "no holdout yet" if item.holdout_iou is None else f"holdout plain IoU {item.holdout_iou:.4f}"
    line = (
        f"  round {item.number}: core {item.core}, holdout {item.holdout}, {iou}, accepted {item.accepted}, "
        f"queued {item.queued}, trained {item.training_seconds:.1f} s, predicted {item.prediction_seconds:.1f} s"
    )
    return "round", asdict(item), line


def _ended_line(name: str, result: dict[str, Any]) -> str:
    stream = result["stream"]
    return (
        f"{name}: {result['labels']} labels, {stream['below']} of {stream['images']} below, mean plain IoU "
        f"{stream['iou']['mean']:.4f}, mean stepped IoU {stream['stepped']['mean']:.4f}, "
        f"{result['seconds']['all'] / 60:.1f} min"
    )


def _say_arms(told: dict[str, Any], plan: Plan) -> None:
    from labeler.studies.curate.report import cost_of

    columns = (
        "arm",
        "runs",
        "labels",
        "minutes",
        f"below {plan.bar.name}",
        "min plain IoU",
        "mean",
        "mean stepped IoU",
    )
    for place in ("stream", "fresh"):
        rows = []
        for row in told["arms"]:
            figures = row[place]
            if figures is not None:
                means = figures["iou"]["min"], figures["iou"]["mean"], figures["stepped"]["mean"]
                rows.append((row["arm"], row["runs"], *cost_of(row), figures["below"], *means))
        if rows:
            say({"stream": "the whole stream", "fresh": "a fresh stream"}[place])
            table(columns, rows)
