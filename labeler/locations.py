"""Where images lie: folders and files, relative inside the project, absolute outside."""

from __future__ import annotations

import os
from pathlib import Path

from labeler.database import Database


class Locations:
    """The tables of folders and files."""

    def __init__(self, database: Database, *, home: Path) -> None:
        """``home`` is the project's folder: what lies in it moves with it."""
        self._database = database
        self.home = home
        self._folders: dict[int, Path] = {}
        self._folder_ids: dict[Path, int] = {}

    def known_paths(self) -> dict[Path, tuple[int, float]]:
        """Every path that was added, with the size and time it had then.

        Without those of images that were readable once and are not now: they are worth another look.
        """
        query = (
            "SELECT folder_id, name, size, mtime FROM files WHERE image_id IS NULL OR image_id NOT IN "
            "(SELECT id FROM images WHERE state = 'unreadable' AND sha256 IS NOT NULL)"
        )
        return {
            self.folder(folder) / text_of(name): (size, mtime)
            for folder, name, size, mtime in self._database.rows(query)
        }

    def path_of_file(self, file_id: int) -> Path:
        """Where a file was seen."""
        row = self._database.row("SELECT folder_id, name FROM files WHERE id = ?", (file_id,))
        assert row is not None, file_id
        return self.folder(row[0]) / text_of(row[1])

    def folders_below(self, root: Path) -> list[Path]:
        """Folders of images outside the project that lie in ``root`` or below."""
        folders = (Path(text_of(row[0])) for row in self._database.rows("SELECT path FROM folders WHERE inside = 0"))
        return [folder for folder in folders if folder.is_relative_to(root)]

    def relink(self, old_root: Path, new_root: Path) -> int:
        """Images below ``old_root`` are looked for below ``new_root`` from now on; how many images that were."""
        moved = 0
        with self._database.transaction():
            for folder_id, stored in self._database.rows("SELECT id, path FROM folders WHERE inside = 0"):
                folder = Path(text_of(stored))
                if folder.is_relative_to(old_root):
                    moved += self._move_folder(folder_id, new_root / folder.relative_to(old_root))
            self._database.log("relinked", old=str(old_root), new=str(new_root), images=moved)
        self.forget()
        return moved

    def _move_folder(self, folder_id: int, target: Path) -> int:
        moved = self._database.row(
            "SELECT count(*) FROM files f JOIN images i ON i.id = f.image_id AND i.file_id = f.id "
            "WHERE f.folder_id = ?",
            (folder_id,),
        )
        target_id = self._folder_id(target)
        if target_id != folder_id:
            # Files that are known at both places keep their row at the new one.
            self._database.write(
                "UPDATE images SET file_id = (SELECT n.id FROM files o JOIN files n ON n.name = o.name "
                "  AND n.folder_id = :new WHERE o.id = images.file_id) "
                "WHERE file_id IN (SELECT o.id FROM files o JOIN files n ON n.name = o.name AND n.folder_id = :new "
                "  AND n.image_id IS o.image_id WHERE o.folder_id = :old)",
                {"new": target_id, "old": folder_id},
            )
            self._database.write("UPDATE OR IGNORE files SET folder_id = ? WHERE folder_id = ?", (target_id, folder_id))
        return 0 if moved is None else int(moved[0])

    def seen(self, path: Path) -> tuple[int, int | None]:
        """Row of a path, made or brought up to date, and the image that was last seen there."""
        size, mtime = _size_and_time(path)
        values = (self._folder_id(path.parent), _stored(path.name), size, mtime)
        row = self._database.write(
            "INSERT INTO files (folder_id, name, size, mtime) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (folder_id, name) DO UPDATE SET size = excluded.size, mtime = excluded.mtime "
            "RETURNING id, image_id",
            values,
        ).fetchone()
        return int(row[0]), row[1]

    def _folder_id(self, folder: Path) -> int:
        if folder not in self._folder_ids:
            inside = folder.is_relative_to(self.home)
            stored = _stored(folder.relative_to(self.home).as_posix() if inside else str(folder))
            self._database.write("INSERT OR IGNORE INTO folders (path, inside) VALUES (?, ?)", (stored, inside))
            row = self._database.row("SELECT id FROM folders WHERE path = ? AND inside = ?", (stored, inside))
            assert row is not None, folder
            self._folder_ids[folder] = int(row[0])
        return self._folder_ids[folder]

    def folder(self, folder_id: int) -> Path:
        """Where a folder lies now."""
        if folder_id not in self._folders:
            row = self._database.row("SELECT path, inside FROM folders WHERE id = ?", (folder_id,))
            assert row is not None, folder_id
            self._folders[folder_id] = self.home / text_of(row[0]) if row[1] else Path(text_of(row[0]))
        return self._folders[folder_id]

    def forget(self) -> None:
        """Drop what is remembered of the tables, after a rollback."""
        self._folders.clear()
        self._folder_ids.clear()


def _size_and_time(path: Path) -> tuple[int, float]:
    try:
        status = path.stat()
    except OSError:
        return -1, 0.0  # matches no file: it is looked at again
    return status.st_size, status.st_mtime


def _stored(text: str) -> str | bytes:
    """A path as SQLite can keep it: text, or the raw bytes of a name that is not Unicode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return os.fsencode(text)
    return text


def text_of(stored: str | bytes) -> str:
    """The text of a stored path; bytes that are not Unicode become surrogates, as everywhere in Python."""
    return stored if isinstance(stored, str) else os.fsdecode(stored)
