"""Against automation bias: several accepts in a row that were faster than a glance ask for a second look."""

from __future__ import annotations

from collections import deque

GLANCE_S = 0.8  # nobody judges a mask in less
HASTY = 5  # accepts in a row that were faster than a glance: then a second look is asked for


class Haste:
    """Remembers how fast the last masks were accepted as they were."""

    def __init__(self) -> None:
        self._fast: deque[bool] = deque(maxlen=HASTY)

    def asks(self, seconds: float, *, is_accept: bool) -> bool:
        """Whether a decision after ``seconds`` asks for another look at the same mask; only an accept does."""
        self._fast.append(is_accept and seconds < GLANCE_S)
        if len(self._fast) < HASTY or not all(self._fast):
            return False
        self._fast.clear()
        return True
