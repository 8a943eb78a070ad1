"""What an open project holds of its folder, taken whole or not at all: lock, connection, temporary copy."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labeler import layout, projectfile, schema
from labeler.database import Database
from labeler.errors import StorageError
from labeler.lock import FolderLock
from labeler.projectfile import ProjectFile


@dataclass(frozen=True, slots=True)
class Hold:
    """A folder in use. A view has no ``lock``; its catalogue is a copy in ``scratch``."""

    folder: Path
    database: Database
    lock: FolderLock | None
    scratch: tempfile.TemporaryDirectory[str] | None = None

    def keep(self, content: ProjectFile) -> None:
        """Write the settings file; StorageError in a view."""
        self.refuse_view()
        projectfile.save(self.folder, content)

    def refuse_view(self) -> None:
        """StorageError unless the folder may be written."""
        if self.lock is None:
            raise StorageError(f"{self.folder}: is open for viewing only; open a copy, or close the other labeler")

    def release(self) -> None:
        """Close the catalogue and let the lock go; a second time does nothing."""
        self.database.close()
        if self.lock is not None:
            self.lock.release()
        if self.scratch is not None:
            self.scratch.cleanup()


@contextlib.contextmanager
def made(folder: Path) -> Iterator[Hold]:
    """Hold a new or empty folder with an empty catalogue, for the block to make a project of; let go where it fails.

    ProjectError where something lies there already.
    """
    layout.refuse_occupied(folder)
    layout.make_folders(folder)
    with layout.locked(folder) as lock:
        layout.refuse_occupied(folder)  # again: another process may have been faster
        for leftover in folder.glob(f"{layout.CATALOGUE}*"):
            leftover.unlink()
        path = folder / layout.CATALOGUE
        with _closing_if_failed(Database(schema.create(path), path)) as database:
            yield Hold(folder, database, lock)


@contextlib.contextmanager
def taken(folder: Path) -> Iterator[Hold]:
    """Lock a project's folder and open its catalogue; let go where the block fails. ProjectLocked, ProjectError."""
    with layout.locked(folder) as lock:
        layout.make_folders(folder)
        path = folder / layout.CATALOGUE
        with _closing_if_failed(Database(schema.open_checked(path), path)) as database:
            yield Hold(folder, database, lock)


def viewed(folder: Path) -> Hold:
    """Nothing of the folder itself: a copy of its catalogue at this moment, that refuses to be written."""
    scratch = tempfile.TemporaryDirectory(prefix="labeler-")
    try:
        path = Path(scratch.name) / layout.CATALOGUE
        schema.copy(folder / layout.CATALOGUE, path)
        return Hold(folder, Database(schema.open_checked(path), path, writable=False), None, scratch)
    except BaseException:
        scratch.cleanup()
        raise


@contextlib.contextmanager
def _closing_if_failed(database: Database) -> Iterator[Database]:
    try:
        yield database
    except BaseException:
        database.close()
        raise
