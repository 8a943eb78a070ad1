"""The intake: what a stream found becomes rows: new images, known bytes at another place, overwritten files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labeler.database import Database
from labeler.locations import Locations
from labeler.records import ImageState, StreamItem, UnreadableItem

NO_PREDICTION = """
    model_version = NULL, confidence = NULL, soft_iou = NULL, stability = NULL, foreground = NULL,
    prediction_sha256 = NULL, signals = '', swept_version = NULL
"""

# Whatever comes back is predicted again: in the pool no image has a prediction by the champion.
BACK_TO_POOL = f"UPDATE images SET state = 'pool', reason = '', {NO_PREDICTION} WHERE id = ?"


class Intake:
    """Writes the rows of images that are found; what is made of them later is the catalogue's."""

    def __init__(self, database: Database, locations: Locations) -> None:
        self._database = database
        self._locations = locations
        self._probe_share = 0.0

    def add(self, items: Iterable[StreamItem | UnreadableItem], *, probe_share: float = 0.0) -> list[int]:
        """Rows for what a stream found; ids of the new images, readable or not, in the order of ``items``.

        ``probe_share`` of them are probes: a coin says so here, where nothing but their bytes is known.
        """
        self._probe_share = probe_share
        added = []
        try:
            with self._database.transaction(durable=False):
                for item in items:
                    image_id = self._add_image(item) if isinstance(item, StreamItem) else self._add_unreadable(item)
                    if image_id is not None:
                        added.append(image_id)
        except BaseException:
            self._locations.forget()
            raise
        return added

    def _add_image(self, item: StreamItem) -> int | None:
        digest = bytes.fromhex(item.sha256)
        probe = int(is_probe(digest, self._probe_share))
        file_id, seen = self._locations.seen(item.path)
        known = self._database.row("SELECT id, file_id, state FROM images WHERE sha256 = ?", (digest,))
        if known is not None:
            self._found_again(known, file_id, item.path)
            if seen != known[0]:
                self._overwritten(seen, file_id)
            return None
        if seen is not None and self._never_was_readable(seen):  # now it is
            self._database.write(
                "UPDATE images SET sha256 = ?, width = ?, height = ?, note = ?, state = 'pool', reason = '', "
                "probe = ?, reserved = ? WHERE id = ?",
                (digest, item.width, item.height, item.note, probe, probe, seen),
            )
            return seen
        self._overwritten(seen, file_id)
        return self._insert(
            file_id,
            "INSERT INTO images (file_id, sha256, width, height, note, state, probe, reserved) "
            "VALUES (?, ?, ?, ?, ?, 'pool', ?, ?)",
            (digest, item.width, item.height, item.note, probe, probe),
        )

    def _add_unreadable(self, item: UnreadableItem) -> int | None:
        file_id, seen = self._locations.seen(item.path)
        if seen is None:
            insert = "INSERT INTO images (file_id, width, height, state, reason) VALUES (?, 0, 0, 'unreadable', ?)"
            return self._insert(file_id, insert, (item.reason,))
        if self._never_was_readable(seen):
            self._database.write("UPDATE images SET reason = ? WHERE id = ?", (item.reason, seen))
        else:
            self._overwritten(seen, file_id, reason=item.reason)
        return None

    def _insert(self, file_id: int, statement: str, values: tuple[Any, ...]) -> int:
        image_id = self._database.write(statement, (file_id, *values)).lastrowid
        assert image_id is not None
        self._database.write("UPDATE files SET image_id = ? WHERE id = ?", (image_id, file_id))
        return image_id

    def _found_again(self, known: tuple[Any, ...], file_id: int, path: Path) -> None:
        """Known bytes at ``path``: the same file, a moved one, or a duplicate."""
        image_id, used_id, state = known
        old = self._locations.path_of_file(used_id)
        holder = self._database.row("SELECT image_id FROM files WHERE id = ?", (used_id,))
        gone = holder is None or holder[0] != image_id or not old.is_file()
        self._database.write("UPDATE files SET image_id = ? WHERE id = ?", (image_id, file_id))
        if state == ImageState.UNREADABLE and (gone or used_id == file_id):
            self._database.write(BACK_TO_POOL, (image_id,))
        if used_id == file_id:
            return
        if gone:
            self._database.write("UPDATE images SET file_id = ? WHERE id = ?", (file_id, image_id))
        self._database.log("moved" if gone else "duplicate", image=image_id, path=str(path), first=str(old))

    def _overwritten(self, image_id: int | None, file_id: int, *, reason: str = "") -> None:
        """Another image, or nothing readable, was found where ``image_id`` was seen last."""
        if image_id is None:
            return
        if self._never_was_readable(image_id):  # its file turned out to be a copy or a moved image
            self._database.write("DELETE FROM images WHERE id = ?", (image_id,))
            return
        row = self._database.row("SELECT file_id FROM images WHERE id = ?", (image_id,))
        if row is None or row[0] != file_id:
            return  # only a duplicate was lost
        path = self._locations.path_of_file(file_id)
        copy = self._database.row("SELECT id FROM files WHERE image_id = ? AND id <> ?", (image_id, file_id))
        if copy is not None:
            self._database.write("UPDATE images SET file_id = ? WHERE id = ?", (copy[0], image_id))
            now_at = self._locations.path_of_file(copy[0])
            self._database.log("moved", image=image_id, path=str(now_at), first=str(path))
            return
        # What nobody has decided cannot be decided any more; decisions stay, with a warning.
        reason = reason or "its file was overwritten by another image"
        self._database.write(
            "UPDATE images SET state = 'unreadable', reason = ? WHERE id = ? AND state IN ('pool', 'queued')",
            (reason, image_id),
        )
        self._database.log("changed", image=image_id, path=str(path), reason=reason)

    def _never_was_readable(self, image_id: int) -> bool:
        return self._database.row("SELECT 1 FROM images WHERE id = ? AND sha256 IS NULL", (image_id,)) is not None


def is_probe(image_sha256: bytes, share: float) -> bool:
    """A coin of probability ``share`` that knows an image's bytes only, so that nobody can choose its outcome.

    Hashed once more: that the hash of a file is large must have nothing to do with any other use of it.
    """
    return int.from_bytes(hashlib.sha256(b"probe" + image_sha256).digest()[:8], "big") < share * 2**64
