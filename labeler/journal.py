"""The journal of one mask being edited: append-only lines, replayed after a crash."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from labeler.editing import Edit, Entry, MaskEditor, Patch
from labeler.errors import MaskError, StorageError
from labeler.files import write_atomically
from labeler.records import Mask

_FORMAT = 2
_READ = (1, _FORMAT)  # a line of the first holds the pixels before and after an edit


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """What a journal holds: the mask as it was opened, and the edits since."""

    base: Mask
    entries: list[Entry]

    def mask(self) -> Mask:
        """The mask after all edits; MaskError where they do not fit."""
        editor = MaskEditor(self.base)
        editor.restore(self.entries)
        return editor.mask


class Journal:
    """An open journal. Whatever ``append`` has returned from survives a kill and a power cut."""

    def __init__(self, path: Path, length: int) -> None:
        """Go on after the first ``length`` bytes; use ``start`` or ``resume``."""
        self.path = path
        self._length = length
        try:
            self._stream = path.open("r+b", buffering=0)
            self._stream.truncate(length)
            self._stream.seek(length)
        except OSError as error:
            _refuse(path, error)

    @classmethod
    def start(cls, path: Path, base: Mask, *, empty: bool = False) -> Journal:
        """A new journal of the mask ``base`` (H, W) uint8; an old one at ``path`` is replaced.

        Where it is known to be ``empty`` nothing is packed: a huge one takes most of a second.
        """
        header = _line(
            {
                "journal": _FORMAT,
                "shape": list(base.shape),
                "pixels": "" if empty else _text(zlib.compress(np.ascontiguousarray(base).data, 1)),
            }
        )
        write_atomically(path, header)
        return cls(path, len(header))

    @classmethod
    def resume(cls, path: Path) -> tuple[Journal, Draft] | None:
        """Go on with a journal that a crash left; None as in ``replay``."""
        found = _read(path)
        return None if found is None else (cls(path, found[1]), found[0])

    @classmethod
    def replay(cls, path: Path) -> Draft | None:
        """What a journal holds, less a torn last line; None where there is none.

        A damaged one is moved aside to ``*.damaged`` and gives None. StorageError where the disk does not answer.
        """
        found = _read(path)
        return None if found is None else found[0]

    def append(self, entry: Entry) -> None:
        """Add one edit and wait until it is on the disk; after a StorageError the journal is as it was before."""
        line = _line(_content(entry))
        try:
            # A line that a full disk cut off would spoil those after it.
            if self._stream.seek(0, os.SEEK_END) != self._length:
                self._stream.truncate(self._length)
                self._stream.seek(self._length)
            if self._stream.write(line) != len(line):
                raise OSError("the disk is full")
            os.fsync(self._stream.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                self._stream.truncate(self._length)
            _refuse(self.path, error)
        self._length += len(line)

    def close(self) -> None:
        """Close the file and keep it."""
        self._stream.close()

    def discard(self) -> None:
        """Close and delete: the edits are committed, or not wanted."""
        self.close()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


def _refuse(path: Path, error: OSError) -> NoReturn:
    why = error.strerror or str(error)
    raise StorageError(f"{path}: cannot be written ({why}); free some space, nothing drawn is lost yet") from error


def _content(entry: Entry) -> dict[str, Any]:
    if isinstance(entry, str):
        return {"step": entry}
    edit = entry.edit if isinstance(entry, Patch) else entry
    return {"rect": list(edit.rect), "name": edit.name, "delta": _text(edit.delta), "was": edit.was}


def _text(packed: bytes) -> str:
    return base64.b64encode(packed).decode("ascii")


def _line(content: dict[str, Any]) -> bytes:
    text = json.dumps(content).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _read(path: Path) -> tuple[Draft, int] | None:
    """The draft and the length of the sound lines."""
    try:
        payload = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror}); check the disk and open again") from error
    try:
        return _parsed(payload)
    except (ValueError, KeyError, TypeError, zlib.error, MaskError):
        path.replace(path.with_name(f"{path.name}.damaged"))
        return None


def _parsed(payload: bytes) -> tuple[Draft, int]:
    lines = payload.split(b"\n")
    length = 0
    base: Mask | None = None
    entries: list[Entry] = []
    for number, line in enumerate(lines[:-1]):
        content = _checked(line)
        if content is None:
            if number == 0 or any(map(_checked, lines[number + 1 :])):
                raise ValueError("damaged in the middle")
            break  # a torn or zero-filled end, as a power cut leaves it
        if base is None:
            base = _base(content)
        else:
            entries.append(_entry(content, base.shape))
        length += len(line) + 1
    if base is None:
        raise ValueError("no header")
    draft = Draft(base, entries)
    draft.mask()  # edits that do not fit the mask would surface in the middle of the work
    return draft, length


def _checked(line: bytes) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError):
        if int(line[:8], 16) == zlib.crc32(line[9:]):
            content: dict[str, Any] = json.loads(line[9:])
            return content
    return None


def _base(content: dict[str, Any]) -> Mask:
    if content["journal"] not in _READ:
        raise ValueError("another format")
    height, width = content["shape"]
    if not content["pixels"]:
        return np.zeros((height, width), np.uint8)
    return _unpacked(content["pixels"], height * width).reshape(height, width)


def _entry(content: dict[str, Any], shape: tuple[int, ...]) -> Entry:
    if "step" in content:
        step = content["step"]
        if step not in ("undo", "redo"):
            raise ValueError(f"unknown step {step!r}")
        return "undo" if step == "undo" else "redo"
    y0, x0, y1, x1 = content["rect"]
    if not (0 <= y0 < y1 <= shape[0] and 0 <= x0 < x1 <= shape[1]):
        raise ValueError("outside the mask")
    if "delta" in content:
        delta = base64.b64decode(content["delta"], validate=True)
        return Edit((y0, x0, y1, x1), str(content["name"]), delta, int(content["was"]))
    before, after = _unpacked(content["pixels"], 2 * (y1 - y0) * (x1 - x0)).reshape(2, y1 - y0, x1 - x0)
    return Patch((y0, x0, y1, x1), before, after, str(content["name"]))


def _unpacked(text: str, size: int) -> Mask:
    pixels = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), size + 1)
    if len(pixels) != size:
        raise ValueError("wrong number of pixels")
    mask: Mask = np.frombuffer(pixels, dtype=np.uint8)
    return mask
