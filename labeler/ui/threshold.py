"""The way back from changes of the threshold."""

from __future__ import annotations

import time

SAME_GESTURE_S = 1.0  # changes that follow one another so fast are one drag


class ThresholdHistory:
    """Thresholds before each change, newest last. No Qt."""

    def __init__(self) -> None:
        self._before: list[float] = []
        self._changed = 0.0
        self._is_last = False

    @property
    def can_undo(self) -> bool:
        """Whether the threshold was changed."""
        return bool(self._before)

    @property
    def is_last(self) -> bool:
        """Whether the threshold is what the person changed last: no stroke came after."""
        return self._is_last and self.can_undo

    def note_change(self, before: float) -> None:
        """The threshold was ``before`` and is another one now."""
        now = time.monotonic()
        if not (self.is_last and now - self._changed < SAME_GESTURE_S):
            self._before.append(before)
        self._changed = now
        self._is_last = True

    def note_stroke(self) -> None:
        """Something was drawn: undo means the drawing from now on."""
        self._is_last = False

    def back(self) -> float | None:
        """The threshold before the last change; None where there was none."""
        self._changed = 0.0
        return self._before.pop() if self._before else None
