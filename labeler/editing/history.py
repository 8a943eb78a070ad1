"""What was done to a mask and can be taken back, within a budget of bytes."""

from __future__ import annotations

import functools
import zlib
from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np

from labeler.editing.rects import Rect, slices
from labeler.errors import MaskError
from labeler.records import Mask


@dataclass(frozen=True, slots=True)
class Edit:
    """An edit as history and journal keep it. ``delta``, the packed exclusive or of before and after, leads both ways.

    ``was`` is the checksum of the pixels before it.
    """

    rect: Rect
    name: str
    delta: bytes
    was: int

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return len(self.delta) + 256  # and what Python needs around it

    def patch(self, mask: Mask) -> Patch:
        """The edit as done, or taken back, on ``mask`` (H, W) as it is now; MaskError where it does not fit."""
        before = mask[slices(self.rect)].copy()
        unpacker = zlib.decompressobj()
        pixels = unpacker.decompress(self.delta, before.size + 1)
        if len(pixels) != before.size or not unpacker.eof:
            raise unfit()
        delta = np.frombuffer(pixels, np.uint8).reshape(before.shape)
        return Patch(self.rect, frozen(before), frozen(before ^ delta), self.name)


@dataclass(frozen=True, eq=False)
class Patch:
    """What one edit did: the pixels of ``rect`` before and after it, both (y1 - y0, x1 - x0) and read-only."""

    rect: Rect
    before: Mask
    after: Mask
    name: str

    @functools.cached_property
    def edit(self) -> Edit:
        """The same, packed; once, for the history and the journal."""
        delta = _packed(self.before, self.after)
        return Edit(self.rect, self.name, delta, checksum(self.before))


Entry = Patch | Edit | Literal["undo", "redo"]  # what a journal holds


class History:
    """Done and undone edits within a budget of bytes; the oldest are dropped first, the newest is always kept.

    A stroke takes some hundred bytes, whatever the size of its rectangle.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._bytes = 0
        self._done: deque[Edit] = deque()
        self._undone: list[Edit] = []

    @property
    def can_undo(self) -> bool:
        """Whether an edit is done."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether an edit is undone."""
        return bool(self._undone)

    def push(self, patch: Patch) -> None:
        """Append a new edit; what was undone before is forgotten."""
        step = patch.edit
        self._bytes += step.nbytes - sum(old.nbytes for old in self._undone)
        self._undone.clear()
        self._done.append(step)
        while self._bytes > self._budget and len(self._done) > 1:
            self._bytes -= self._done.popleft().nbytes

    def undo(self, mask: Mask) -> Patch | None:
        """The patch that takes the last edit of ``mask`` back; the edit counts as undone."""
        if not self._done:
            return None
        self._undone.append(self._done.pop())
        return self._undone[-1].patch(mask)

    def redo(self, mask: Mask) -> Patch | None:
        """The patch that does the last undone edit of ``mask`` again; the edit counts as done."""
        if not self._undone:
            return None
        self._done.append(self._undone.pop())
        return self._done[-1].patch(mask)


def unfit() -> MaskError:
    """Why a recorded edit cannot be done."""
    return MaskError("a recorded stroke does not fit this mask; the strokes before it were restored")


def checksum(pixels: Mask) -> int:
    """Of the pixels, in reading order."""
    return zlib.crc32(np.ascontiguousarray(pixels).data)


def frozen(pixels: Mask) -> Mask:
    """The same array, read-only."""
    pixels.flags.writeable = False
    return pixels


def _packed(before: Mask, after: Mask) -> bytes:
    # Runs are what masks are made of. By strips, as a second array of the size of a large patch costs more to allocate
    # than to fill.
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
    strips = range(0, len(before), 64)
    return b"".join([packer.compress((before[y : y + 64] ^ after[y : y + 64]).data) for y in strips]) + packer.flush()
