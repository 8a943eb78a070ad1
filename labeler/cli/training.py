"""Commands that train: one round, or a whole simulated annotator."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from labeler.cli.console import emit, follow, say

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the project.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, for scripts.")]


def train(
    folder: Folder,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Start from nothing instead of from the model in use.")
    ] = False,
    predict: Annotated[bool, typer.Option(help="Predict what waits again with a published model.")] = True,
    as_json: Json = False,
) -> None:
    """Train one round on the core; the new model is published unless the holdout speaks against it."""
    from labeler.headless import Forecaster, train_once
    from labeler.device import set_threads
    from labeler.loop import Loop
    from labeler.project import Project

    with Project.open(folder) as project:
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
