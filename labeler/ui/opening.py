"""Where the project of a folder of images goes, and how it is opened; the sample's recipe."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from labeler.errors import ProjectError, StorageError
from labeler.files import sha256_of
from labeler.project import Project
from labeler.projectfile import NAME
from labeler.settings import Settings
from labeler.stream import parse_source

# A third of the sample has triangles, of which the shipped net has seen few.
SAMPLE_SOURCES = ("ships:160?seed=11", "ships:80?seed=12&distractor=triangle")
SAMPLE_MODEL = "models/ships.safetensors"
# Where about one image in ten waits for the person: the shipped net is sure of nearly all of them at the default.
SAMPLE_THRESHOLD = 0.9


def projects_folder() -> Path:
    """Where projects go unless the person says otherwise: in the user's data folder."""
    return Path(platformdirs.user_data_dir("labeler", appauthor=False)) / "projects"


def sample_folder() -> Path:
    """Where the sample's project goes."""
    return projects_folder() / "sample"


def of_sample() -> Project:
    """The sample's project, made if there is none."""
    return open_or_create(sample_folder(), SAMPLE_SOURCES, Settings(threshold=SAMPLE_THRESHOLD, probe_share=0.0))


def default_project_folder(source: Path) -> Path:
    """The project of a folder of images: never inside it, the same one every time."""
    place = source.expanduser().resolve()
    return projects_folder() / f"{_name(place.name)}-{sha256_of(os.fsencode(place))[:8]}"


def is_project(folder: Path) -> bool:
    """Whether a folder is a project."""
    return (folder / NAME).is_file()


def open_or_create(folder: Path, sources: Sequence[str], settings: Settings | None = None) -> Project:
    """The project at ``folder`` with these sources; made, with ``settings``, if there is none."""
    if not is_project(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from error
        return Project.create(folder, sources=sources, settings=settings)
    project = Project.open(folder)
    try:
        for source in sources:
            project.add_source(source)
    except BaseException:
        project.close()
        raise
    return project


def of_images(source: str | Path, project_folder: Path | None = None) -> Project:
    """The project of a folder of images or another source, made if there is none.

    StreamError where the source cannot be read, ProjectError where the project would lie among the images.
    """
    text = str(source)
    parse_source(text)  # before anything is written
    place = Path(text).expanduser()
    if not place.exists():
        return open_or_create((project_folder or projects_folder() / _name(text)).absolute(), (text,))
    folder = (project_folder or default_project_folder(place)).absolute()
    _refuse_among_images(folder, place)
    return open_or_create(folder, (str(place.resolve()),))


def add_images(project: Project, source: Path) -> None:
    """One more folder of images (or another source) for a project; errors as of ``of_images``."""
    place = source.expanduser().resolve()
    parse_source(str(place))
    _refuse_among_images(project.folder, place)
    project.add_source(str(place))


def _refuse_among_images(folder: Path, place: Path) -> None:
    if place.is_dir() and folder.resolve().is_relative_to(place.resolve()):
        raise ProjectError(f"{folder}: lies in the image folder, where nothing is ever written; choose another place")


def _name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip("-.")[:60] or "images"
