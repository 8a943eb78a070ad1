"""What lies where in a project's folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from labeler import projectfile
from labeler.errors import ProjectError, StorageError
from labeler.lock import FolderLock

CATALOGUE = "catalogue.sqlite"
LOCK = "lock"
FOLDERS = ("masks", "predictions", "models", "journal", "frames")


def refuse_occupied(folder: Path) -> None:
    """ProjectError unless a project can be made in ``folder``; what a killed attempt has left does not count."""
    if (folder / projectfile.NAME).exists():
        raise ProjectError(f"{folder}: holds a project already; open it, or choose another folder")
    own = {LOCK, *FOLDERS}
    try:
        names = {path.name for path in folder.iterdir()} if folder.exists() else set()
        foreign = {name for name in names if name not in own and not name.startswith(CATALOGUE)}
        occupied = foreign or any(any((folder / name).iterdir()) for name in names & set(FOLDERS))
    except OSError as error:
        raise ProjectError(f"{folder}: cannot be used ({error.strerror}); choose another folder") from error
    if occupied:
        raise ProjectError(f"{folder}: is not empty; choose a new or empty folder for the project")


def make_folders(folder: Path) -> None:
    """Make the folders of a project that are missing."""
    try:
        for name in FOLDERS:
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from error


def portable(path: Path, folder: Path) -> str:
    """A path as text: relative in the project, absolute outside; ``folder / text`` is the path again."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[FolderLock]:
    """The project's lock, to be kept by the block; it is let go where the block fails."""
    lock = FolderLock(folder / LOCK)
    try:
        yield lock
    except BaseException:
        lock.release()
        raise
