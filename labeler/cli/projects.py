"""Commands on a project: make one, run it without a window, list and change models, export."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from labeler.cli.console import emit, follow, note, note_some, say, table
from labeler.errors import ExportError, LabelerError, ProjectError

if TYPE_CHECKING:
    from labeler.headless import Forecaster, Intake
    from labeler.loop import Loop
    from labeler.project import Project
    from labeler.records import VersionRecord

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the project.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, for scripts.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda", "mps"] | None,
    typer.Option(help="Where to compute from now on; kept in the project.", show_default="auto"),
]
POLL_S = 0.5


def new(
    folder: Folder,
    images: Annotated[
        list[str],
        typer.Option(metavar="SOURCE", help="Folder, list file, video, camera:0 or ships:100; may be repeated."),
    ],
    model: Annotated[Path | None, typer.Option(help="Model to start with; without one, a person labels first.")] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Confidence from which a mask is accepted.", show_default="0.8075"),
    ] = None,
    classes: Annotated[
        str | None, typer.Option(metavar="NAME,NAME", help="Names of the classes.", show_default="object")
    ] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Make a project over images, which stay where they are and are never changed."""
    from labeler.headless import take_up
    from labeler.loop import Loop
    from labeler.project import Project
    from labeler.settings import settings_from

    values: dict[str, Any] = {} if threshold is None else {"threshold": threshold}
    if classes is not None:
        values["classes"] = tuple(name.strip() for name in classes.split(","))
    if device is not None:
        values["device"] = device
    settings = settings_from(values, source="new")
    sources = _sound(images)
    is_empty = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    try:
        with Project.create(folder, settings=settings, sources=sources) as project:
            if model is not None:
                Loop(project).adopt_model(model)
            intake = follow(take_up(project, sources), "scan")
            _report_intake(project, intake, as_json=as_json)
    except LabelerError:
        if is_empty:  # nobody has worked in it yet: the corrected command shall find it as this one did
            shutil.rmtree(folder, ignore_errors=True)
        raise


def add(
    folder: Folder,
    images: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="As of `labeler new`: folder, list file, video, ...")
    ],
    as_json: Json = False,
) -> None:
    """Add images to a project: further sources, which stay where they are and are watched like the first."""
    from labeler.headless import take_up
    from labeler.project import Project

    sources = _sound(images)
    with Project.open(folder) as project:
        for source in sources:
            project.add_source(source)
        _report_intake(project, follow(take_up(project, sources), "scan"), as_json=as_json)


def _sound(images: list[str]) -> list[str]:
    """Sources as they are kept; StreamError for a mistyped one, before anything is made."""
    from labeler.stream import parse_source

    sources = [_absolute(source) for source in images]
    for source in sources:
        parse_source(source)
    return sources


def _absolute(source: str) -> str:
    """A path (with or without options behind it) as it will be found from any folder; other sources as they are."""
    path, mark, options = source.rpartition("?")
    for name, rest in ((source, ""), (path, mark + options)):
        if name and Path(name).exists():
            return f"{Path(name).absolute()}{rest}"
    return source


def _report_intake(project: Project, intake: Intake, *, as_json: bool) -> None:
    if as_json:
        unreadable = [{"path": str(item.path), "reason": item.reason} for item in intake.unreadable]
        emit({"project": str(project.folder), **asdict(project.counts()), "unreadable_files": unreadable})
        return
    counts = project.counts()
    say(
        f"{project.folder}: {counts.streamed} images, {counts.unreadable} unreadable, "
        f"{intake.duplicates} duplicate{'' if intake.duplicates == 1 else 's'}"
    )
    note_some("unreadable", [f"{item.path}: {item.reason}" for item in intake.unreadable])
    say(f"next: labeler open {folder_word(project.folder)}")


def folder_word(folder: Path) -> str:
    """The folder as a shell takes it."""
    import shlex

    return shlex.quote(str(folder))


def run(
    folder: Folder,
    once: Annotated[bool, typer.Option("--once", help="End when all that is there is predicted.")] = False,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Watch the sources, predict and gate without a window, until Ctrl-C; report what waits for a person."""
    from labeler.headless import Forecaster, take_up
    from labeler.loop import Loop
    from labeler.project import Project

    with Project.open(folder) as project:
        keep_device(project, device)
        loop = Loop(project)
        forecaster = Forecaster(loop)
        try:
            _report_intake_briefly(follow(take_up(project, project.sources), "scan"))
            _predict(forecaster, as_json=as_json)
            if not once:
                _watch(project, forecaster, as_json=as_json)
        finally:
            _report_state(loop, as_json=as_json)


def keep_device(project: Project, device: str | None) -> None:
    """Compute there from now on, where a device was named."""
    if device not in (None, project.settings.device):
        project.save_settings(project.settings.model_copy(update={"device": device}))


def _report_intake_briefly(intake: Intake) -> None:
    for item in intake.unreadable:
        note(f"unreadable: {item.path}: {item.reason}")


def _predict(forecaster: Forecaster, *, as_json: bool) -> None:
    predicted = follow(forecaster.predict_waiting(), "predict")
    if predicted and as_json:
        emit({"event": "predicted", "images": predicted, **asdict(forecaster.loop.project.counts())})


def _watch(project: Project, forecaster: Forecaster, *, as_json: bool) -> None:
    from contextlib import ExitStack, closing

    from labeler.records import UnreadableItem
    from labeler.stream import Watcher, parse_source

    with ExitStack() as stack:
        watchers = [
            stack.enter_context(
                closing(Watcher(parse_source(source), known=project.known_paths(), frames_folder=project.frames_folder))
            )
            for source in project.sources
        ]
        note("labeler: watching; Ctrl-C ends")
        while True:
            found = [item for watcher in watchers for item in watcher.poll(POLL_S)]
            for item in found:
                if isinstance(item, UnreadableItem):
                    note(f"unreadable: {item.path}: {item.reason}")
            if project.add(found):
                _predict(forecaster, as_json=as_json)


def _report_state(loop: Loop, *, as_json: bool) -> None:
    status = loop.status()
    counts = asdict(status.counts)
    if as_json:
        emit({"event": "state", **counts, "champion": status.champion, "threshold": status.threshold})
        return
    say("  ".join(f"{name} {number}" for name, number in counts.items()))
    if status.champion is None:
        missing = status.first_labels - status.counts.labelled
        need = f"label {missing} more images with `labeler open`" if missing > 0 else "train one with `labeler train`"
        say(f"there is no model yet: {need}; `labeler new --model` starts with one")
    elif status.counts.queued:
        say(f"{status.counts.queued} images wait for a person; correct them with `labeler open`")


def models(
    folder: Folder,
    rollback: Annotated[int | None, typer.Option(metavar="N", help="Make version N the model in use.")] = None,
    as_json: Json = False,
) -> None:
    """List the model versions of a project, or go back to one of them."""
    from labeler.loop import Loop
    from labeler.project import Project

    with Project.view(folder) if rollback is None else Project.open(folder) as project:
        if rollback is not None:
            Loop(project).rollback(rollback)
        versions = project.versions()
    if as_json:
        emit([_version(version) for version in versions])
        return
    if rollback is not None:
        say(f"model v{rollback} is in use; `labeler run` or `labeler open` predicts what waits again")
    columns = ("version", "status", "parent", "core", "holdout", "holdout IoU", "core IoU", "created")
    table(columns, [tuple(_version(version)[key] for key in _VERSION_KEYS) for version in versions])


_VERSION_KEYS = ("version", "status", "parent", "core_count", "holdout_count", "holdout_iou", "core_iou", "created")


def _version(version: VersionRecord) -> dict[str, Any]:
    values = {**asdict(version), "status": version.status.value, "path": str(version.path)}
    return {key: values[key] for key in (*_VERSION_KEYS, "path", "sha256", "metrics")}


def rebuild(folder: Folder, as_json: Json = False) -> None:
    """Make a damaged catalogue again from the masks and models; the old one is moved aside.

    Labels and models are found again, and the images with the next scan. Predictions, rounds and the history are not in
    files.
    """
    from labeler.rebuild import rebuild as rebuild_catalogue

    if not (folder / "project.toml").is_file():
        raise ProjectError(f"{folder}: is no project (it has no project.toml)")
    made = rebuild_catalogue(folder)
    aside = None if made.aside is None else str(made.aside)
    if as_json:
        skipped = [str(path) for path in made.skipped]
        emit({"labels": made.labels, "versions": made.versions, "skipped": skipped, "aside": aside})
        return
    for path in made.skipped:
        note(f"skipped: {path}: tells nothing sound")
    say(
        f"{folder}: {made.labels} labels and {made.versions} models"
        + (f"; the old catalogue is {aside}" if aside else "")
    )
    say(f"next: labeler open {folder_word(folder)}")


def export(
    folder: Folder,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New folder for the export.", show_default=False)],
    format: Annotated[str, typer.Option(help="png or coco.")] = "png",
    core_only: Annotated[bool, typer.Option("--core-only", help="Only the core set, no accepted masks.")] = False,
    as_json: Json = False,
) -> None:
    """Export masks with a manifest; everything is read back and compared before OUT appears."""
    from labeler.formats import FORMATS
    from labeler.formats import export as export_masks
    from labeler.project import Project

    if format not in FORMATS:
        raise ExportError(f"{format}: no such format; choose one of {', '.join(FORMATS)}")
    with Project.open(folder) as project:
        work = export_masks(project, out, format=format, include_accepted=not core_only)
        manifest = follow(work, "export")
    for name, reason in manifest.left_out:
        note(f"left out: {name}: {reason}")
    if as_json:
        summary = {"folder": str(manifest.folder), "format": format, "images": manifest.images}
        emit({**summary, "origins": manifest.origins, "left_out": len(manifest.left_out)})
        return
    origins = ", ".join(f"{number} {origin}" for origin, number in sorted(manifest.origins.items()))
    say(f"{manifest.folder}: {manifest.images} masks ({origins}), read back and equal pixel by pixel")
