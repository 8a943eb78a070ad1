"""Files that may still be growing wait here until they have stopped."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from labeler.records import StreamItem, UnreadableItem
from labeler.stream.folder import Found, examine, stamp

_PATIENCE = 5.0  # times the settling time: how long a file that does not decode may turn out to be unfinished
_OLD_S = 2.0  # a file that was last written before that has settled already, however lately it was found


@dataclass(slots=True)
class _Waiting:
    found: Found
    stamp: tuple[int, float]
    first: float  # all times by the monotonic clock
    due: float
    tries: int = 0


def is_fresh(now: tuple[int, float]) -> bool:
    """Whether a file with this stamp may still be growing; a time of change in the future says nothing."""
    return now[0] >= 0 and time.time() - now[1] <= _OLD_S


class Settling:
    """Each file comes out once, when size and time of change have been the same for ``settle_s`` and it decodes.

    A file that does not decode is tried again for a while: its writer may only be slow.
    """

    def __init__(self, settle_s: float, *, patience: float = _PATIENCE) -> None:
        self._settle_s = settle_s
        self._patience_s = settle_s * patience
        self._waiting: dict[Path, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, path: Path) -> bool:
        return path in self._waiting

    def put(self, found: Found, now: tuple[int, float], clock: float) -> None:
        """Take a file up, or notice that it has changed again; ``now`` is its stamp."""
        waiting = self._waiting.get(found.path)
        if waiting is None:
            settled = not is_fresh(now) and time.time() - now[1] > self._settle_s
            due = clock if settled else clock + self._settle_s
            self._waiting[found.path] = _Waiting(found, now, clock, due)
        elif waiting.stamp != now:
            waiting.stamp, waiting.first, waiting.due, waiting.tries = now, clock, clock + self._settle_s, 0

    def due_in(self, clock: float) -> float:
        """Seconds until the next file may have settled; infinite if none waits."""
        return min((waiting.due for waiting in self._waiting.values()), default=float("inf")) - clock

    def settled(self, clock: float) -> list[Path]:
        """Files whose time has come."""
        return [path for path, waiting in self._waiting.items() if waiting.due <= clock]

    def examine(self, path: Path, clock: float) -> tuple[StreamItem | UnreadableItem, tuple[int, float]] | None:
        """What became of a file whose time has come, with its stamp; None if it has to wait on, or is gone."""
        waiting = self._waiting[path]
        before = stamp(path)
        if before != waiting.stamp and before[0] >= 0:
            self.put(waiting.found, before, clock)
            return None
        item = examine(waiting.found)
        after = stamp(path)
        if after != before:
            self.put(waiting.found, after, clock)
            return None
        if isinstance(item, UnreadableItem) and self._may_be_unfinished(waiting, clock):
            waiting.tries += 1
            waiting.due = clock + self._settle_s * 2**waiting.tries
            return None
        del self._waiting[path]
        return item, after

    def drop(self, path: Path) -> None:
        """Forget a file."""
        self._waiting.pop(path, None)

    def _may_be_unfinished(self, waiting: _Waiting, clock: float) -> bool:
        lately = is_fresh(waiting.stamp) or abs(time.time() - waiting.stamp[1]) < self._patience_s
        return waiting.stamp[0] >= 0 and lately and clock - waiting.first < self._patience_s
