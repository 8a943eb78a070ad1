"""Commands that open the window, and the sample without one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from labeler.cli.console import emit, follow, note, say
from labeler.doctor import WindowProbe, clean_qt_environment, display_fault
from labeler.errors import LabelerError, ProjectError

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the project.", show_default=False)]


def start(*, project: Path | None = None) -> None:
    """Show the window until it is closed. LabelerError where none can be shown; never an abort."""
    run, fault = _prepared()
    if run is None:
        raise LabelerError(fault)
    raise typer.Exit(run(project=project))


def _prepared() -> tuple[Callable[..., int] | None, str]:
    """The window's program, or None and why none can be shown here, as a sentence."""
    clean_qt_environment()
    if fault := display_fault():
        return None, fault
    probe = WindowProbe()  # tries Qt in a child process while we import it here
    try:
        from labeler.ui.app import run
    except ImportError:
        if fault := probe.fault():
            return None, fault
        raise
    fault = probe.fault()
    return (None, fault) if fault else (run, "")


def open_project(folder: Folder) -> None:
    """Open a project in the window."""
    if not (folder / "project.toml").is_file():
        raise ProjectError(f"{folder}: is no project (it has no project.toml); make one with `labeler new`")
    start(project=folder)


def demo(
    headless: Annotated[bool, typer.Option("--headless", help="No window: a report with pictures instead.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the headless report (new).", show_default="labeler-demo")
    ] = None,
    images: Annotated[int, typer.Option(min=30, max=10_000, help="Images in the headless stream.")] = 240,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the headless stream.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="The figures of the headless report as JSON.")] = False,
) -> None:
    """Show the sample: a trained U-Net on a stream of ships, and a queue of what it is unsure of."""
    if not headless:
        run, fault = _prepared()
        if run is not None:
            raise typer.Exit(run(sample=True))
        note(f"labeler: {fault}")
        note("labeler: telling the sample's story without a window instead")
    from labeler.studies.demo import free_folder, tell

    folder = out or free_folder(Path.cwd() / "labeler-demo")
    story = follow(tell(folder, images=images, seed=seed), "demo")
    if as_json:
        emit(story.figures)
        return
    say(story.sentence)
    say(f"report: {story.report}")
    say(f"picture: {story.sheet}")
    say(f"project: {story.project}")
