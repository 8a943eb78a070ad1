"""Commands that train: one round, or a whole simulated annotator."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labeler.cli.console import emit, follow, note_some, say, table
from labeler.cli.projects import Device, keep_device
from labeler.errors import MaskError, ProjectError

if TYPE_CHECKING:
    from labeler.project import Project
    from labeler.studies.simulation import SimulationResult
    from labeler.studies.walking import SimulatedRound

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the project.", show_default=False)]
LOOKED_AT = 8  # masks, before anything is trained
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, for scripts.")]


def train(
    folder: Folder,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Start from nothing instead of from the model in use.")
    ] = False,
    predict: Annotated[bool, typer.Option(help="Predict what waits again with a published model.")] = True,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train one round on the core; the new model is published unless the holdout speaks against it."""
    from labeler.device import set_threads
    from labeler.headless import Forecaster, train_once
    from labeler.loop import Loop
    from labeler.project import Project

    with Project.open(folder) as project:
        keep_device(project, device)
        set_threads(project.settings.threads)
        loop = Loop(project)
        outcome = follow(train_once(loop, from_scratch=from_scratch), "train")
        if predict and outcome.published:
            follow(Forecaster(loop).predict_waiting(), "predict")
        counts = project.counts()
    if as_json:
        emit({**asdict(outcome), **asdict(counts)})
        return
    say(outcome.sentence)
    say(f"accepted {counts.accepted}  queued {counts.queued}  core {counts.core}  holdout {counts.holdout}")


def simulate(
    folder: Folder,
    reference: Annotated[Path, typer.Option(metavar="MASKS", help="Folder of the true masks, named like the images.")],
    minutes: Annotated[float | None, typer.Option(min=0, help="End after the first round past this time.")] = None,
    labels: Annotated[int | None, typer.Option(min=1, help="Ask for no more labels than this.")] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Let reference masks answer instead of a person: a line for each round and a table at the end."""
    from labeler.device import set_threads
    from labeler.headless import take_up
    from labeler.oracle import ReferenceOracle
    from labeler.project import Project
    from labeler.records import ImageState
    from labeler.studies.simulation import simulate as simulated

    with Project.open(folder) as project:
        keep_device(project, device)
        set_threads(project.settings.threads)
        oracle = ReferenceOracle(reference, classes=len(project.settings.classes))
        follow(take_up(project, project.sources), "scan")
        _refuse_without_pairs(project, oracle)
        work = simulated(project, oracle, minutes=minutes, labels=labels)
        result = follow(work, "simulate", each=_emit_round if as_json else _say_round)
        left_out = [image.reason for image in project.images(state=ImageState.EXCLUDED)]
    if as_json:
        emit({"event": "result", **asdict(result)})
        return
    table(("figure", "value"), _rows(result))
    note_some("excluded", left_out)


def _refuse_without_pairs(project: Project, oracle: Any) -> None:
    records = [record for record in project.images() if record.sha256]
    if not records:
        raise ProjectError(f"{project.folder}: there are no images; add some with `labeler new` in a new project")
    paired = oracle.paths(records)
    if not paired:
        raise ProjectError(f"{oracle.folder}: no mask there is named like an image; name the right folder")
    faults = []
    for record in [record for record in records if record.image_id in paired][:LOOKED_AT]:
        try:
            oracle.mask(record)
        except MaskError as error:
            faults.append(str(error))
        else:
            return
    raise ProjectError(f"none of the first {len(faults)} masks can be used: {faults[0]}")


def _emit_round(line: SimulatedRound) -> None:
    emit({"event": "round", **asdict(line)})


def _say_round(line: SimulatedRound) -> None:
    iou = "no holdout yet" if line.holdout_iou is None else f"holdout IoU {line.holdout_iou:.4f}"
    before = "" if line.champion_iou is None else f" (before {line.champion_iou:.4f})"
    say(
        f"round {line.number}: v{line.version} {'published' if line.published else 'rejected'}, {iou}{before}, "
        f"core {line.core}, holdout {line.holdout}, accepted {line.accepted}, queued {line.queued}, pool {line.pool}, "
        f"trained {line.training_seconds:.1f} s, predicted {line.prediction_seconds:.1f} s"
    )


def _rows(result: SimulationResult) -> list[tuple[str, str]]:
    return [
        ("streamed", str(result.streamed)),
        ("accepted by the model", f"{result.accepted} ({_share(result.accepted, result.streamed)})"),
        ("labelled", f"{result.labelled} ({_share(result.labelled, result.streamed)})"),
        ("  of which core, holdout", f"{result.core}, {result.holdout}"),
        ("still waiting", str(result.waiting)),
        ("excluded, unreadable", f"{result.excluded}, {result.unreadable}"),
        ("rounds, published", f"{result.rounds}, {result.published}"),
        ("threshold", f"{result.threshold:g}"),
        ("mean IoU of accepted masks", _figure(result.mean_accepted_iou)),
        ("smallest IoU of accepted masks", _figure(result.smallest_accepted_iou)),
        (
            f"accepted masks below {result.wrong_below:g}",
            f"{result.low} of {result.judged} ({_share(result.low, result.judged)})",
        ),
        ("training", f"{result.training_seconds:.1f} s"),
        ("prediction", f"{result.prediction_seconds:.1f} s"),
        ("in all", f"{result.seconds:.1f} s"),
        ("ended because", result.ended),
    ]


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
