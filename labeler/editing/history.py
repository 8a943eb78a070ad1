"""What was done to a mask and can be taken back, within a budget of bytes."""

from __future__ import annotations

import zlib
from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np

from labeler.editing.rects import Rect, slices
from labeler.records import Mask


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """What one edit did: the pixels of ``rect`` before and after it, both (y1 - y0, x1 - x0) and read-only."""

    rect: Rect
    before: Mask
    after: Mask
    name: str


Entry = Patch | Literal["undo", "redo"]  # what a journal holds


@dataclass(frozen=True, slots=True)
class _Step:
    """A patch as the history keeps it. ``delta``, the packed exclusive or of before and after, leads both ways."""

    rect: Rect
    name: str
    delta: bytes

    @property
    def nbytes(self) -> int:
        return len(self.delta) + 256  # and what Python needs around it


class History:
    """Done and undone edits within a budget of bytes; the oldest are dropped first, the newest is always kept.

    A stroke takes some hundred bytes, whatever the size of its rectangle.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._bytes = 0
        self._done: deque[_Step] = deque()
        self._undone: list[_Step] = []

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
        step = _Step(patch.rect, patch.name, _packed(patch.before, patch.after))
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
        return _unpacked(self._undone[-1], mask)

    def redo(self, mask: Mask) -> Patch | None:
        """The patch that does the last undone edit of ``mask`` again; the edit counts as done."""
        if not self._undone:
            return None
        self._done.append(self._undone.pop())
        return _unpacked(self._done[-1], mask)


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


def _unpacked(step: _Step, mask: Mask) -> Patch:
    before = mask[slices(step.rect)].copy()
    delta = np.frombuffer(zlib.decompress(step.delta), np.uint8).reshape(before.shape)
    return Patch(step.rect, frozen(before), frozen(before ^ delta), step.name)
