"""What the lists sort and filter by, a column a figure: a hundred thousand images answer within a frame. No Qt."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeler.records import Brief, ImageState

STATES = tuple(ImageState)
_CODES = {state.value: code for code, state in enumerate(STATES)}
_DAY_S = 86_400.0
KEPT = 0.95  # IoU from which a mask counts as the same

Ids = NDArray[np.int64]


class Order(Enum):
    """How the gallery is sorted."""

    STREAM = "stream"
    UNSURE_FIRST = "unsure"
    SURE_FIRST = "sure"
    NAME = "name"
    STATE = "state"
    NEWEST_FIRST = "newest"
    WORST_FIRST = "worst"  # where prediction and label differ most


@dataclass(frozen=True, slots=True)
class Filter:
    """Which images are shown; the defaults let all pass. An image without a figure passes no limit on it."""

    text: str = ""
    state: ImageState | None = None
    version: int | None = None
    confidence: tuple[float, float] = (0.0, 1.0)
    class_value: int | None = None  # the mask in force holds this class; 0: it holds none
    iou_below: float | None = None  # of prediction and label
    days: int | None = None  # labelled, or the file written, in the last so many
    only: frozenset[int] | None = None  # these images

    @property
    def is_narrow(self) -> bool:
        """Whether more than the text and the state is asked for."""
        return self != Filter(text=self.text, state=self.state)


_FIGURES = {
    "state": np.uint8,
    "confidence": np.float32,
    "version": np.int32,
    "skips": np.int32,
    "foreground": np.float32,
    "iou": np.float32,
    "classes": np.int64,
    "date": np.float64,
    "kept": np.float32,
    "wrong": np.float32,
    "shuffle": np.int64,
}


class Columns:
    """All images of a project, in the order of their ids, which is that of the stream."""

    def __init__(self, briefs: Iterable[Brief] = ()) -> None:
        self._size = 0
        self._ids = np.zeros(0, np.int64)
        self._figures = {name: np.zeros(0, kind) for name, kind in _FIGURES.items()}
        self._names: list[str] = []
        self._by_name: NDArray[np.int64] | None = None
        self._queues: dict[bool, Ids] = {}  # by whether there is no model yet
        self.update(briefs)

    def __len__(self) -> int:
        return self._size

    @property
    def ids(self) -> Ids:
        """Every id, ascending."""
        return self._ids[: self._size]

    def column(self, name: str) -> NDArray[np.generic]:
        """One figure of every image: state (an index into STATES), confidence, version, iou, ...; NaN or -1: none."""
        return self._figures[name][: self._size]

    def are(self, *states: ImageState) -> NDArray[np.bool_]:
        """Which images are in one of these states."""
        return np.isin(self.column("state"), [_CODES[state] for state in states])

    def update(self, briefs: Iterable[Brief]) -> None:
        """Take these rows in, new or changed."""
        fresh = sorted(briefs)
        self._queues.clear()
        at = self._rows_for([brief.image_id for brief in fresh])
        for row, brief in zip(at.tolist(), fresh, strict=True):
            self._ids[row] = brief.image_id
            self._names[row] = brief.name
            figures = self._figures
            figures["state"][row] = _CODES[brief.state]
            figures["confidence"][row] = np.nan if brief.confidence is None else brief.confidence
            figures["version"][row] = -1 if brief.version is None else brief.version
            figures["skips"][row] = brief.skips
            figures["foreground"][row] = np.nan if brief.foreground is None else brief.foreground
            figures["iou"][row] = np.nan if brief.iou is None else brief.iou
            figures["classes"][row] = brief.classes
            figures["date"][row] = brief.date
            figures["kept"][row] = np.nan if brief.kept is None else brief.kept
            figures["wrong"][row] = np.nan if brief.wrong is None else brief.wrong
            figures["shuffle"][row] = brief.shuffle

    def _rows_for(self, image_ids: Sequence[int]) -> NDArray[np.int64]:
        """Where these ascending ids stand; places are made for new ones."""
        wanted = np.asarray(image_ids, np.int64)
        missing = np.setdiff1d(wanted, self.ids, assume_unique=True)
        if len(missing):
            self._make_room(missing)
        return np.searchsorted(self.ids, wanted)

    def _make_room(self, missing: Ids) -> None:
        self._by_name = None
        size, total = self._size, self._size + len(missing)
        if total > len(self._ids):
            room = max(1024, 2 * total)
            self._ids = np.concatenate([self.ids, np.zeros(room - size, np.int64)])
            self._figures = {
                name: np.concatenate([values[:size], np.zeros(room - size, values.dtype)])
                for name, values in self._figures.items()
            }
        self._ids[size:total] = missing
        self._names += [""] * len(missing)
        self._size = total
        if size and missing[0] < self._ids[size - 1]:  # a file that became readable keeps its low id
            order = np.argsort(self.ids)
            self._ids[:total] = self.ids[order]
            for values in self._figures.values():
                values[:total] = values[:total][order]
            self._names = [self._names[row] for row in order]

    def queue(self, *, cold: bool = False) -> Ids:
        """Those that wait for a person, skipped ones last: the least confident first, or all in a random order.

        The orders are those of ``acquisition``, without reading a record.
        """
        if cold not in self._queues:
            states = (ImageState.QUEUED, ImageState.POOL) if cold else (ImageState.QUEUED,)
            at = np.flatnonzero(self.are(*states))
            figure = self.column("shuffle" if cold else "confidence")[at]
            self._queues[cold] = self.ids[at[np.lexsort((at, figure, self.column("skips")[at]))]]
        return self._queues[cold]

    def redrawn(self, version: int) -> Ids:
        """Images whose mask this version has changed: IoU with the one before is below KEPT.

        A labelled image has its mask from a person, whatever is predicted for it to be compared with.
        """
        with np.errstate(invalid="ignore"):
            changed = (self._figures["version"] == version) & (self._figures["kept"] < KEPT)
        return self.ids[np.flatnonzero(changed[: self._size] & self.are(ImageState.QUEUED, ImageState.ACCEPTED))]

    def select(self, wanted: Filter, order: Order = Order.STREAM) -> Ids:
        """Ids of the images that pass, sorted."""
        at = np.flatnonzero(self._passing(wanted))
        return self.ids[self._sorted(at, order)]

    def _passing(self, wanted: Filter) -> NDArray[np.bool_]:
        passing = np.ones(self._size, bool)
        if wanted.state is not None:
            passing &= self.are(wanted.state)
        if wanted.version is not None:
            passing &= self.column("version") == wanted.version
        low, high = wanted.confidence
        if (low, high) != (0.0, 1.0):
            # Rounded as they are shown: 0.90 is not kept out by a limit of 0.9.
            confidence = np.round(self._figures["confidence"][: self._size].astype(float), 4)
            passing &= (confidence >= low) & (confidence <= high)
        if wanted.class_value is not None:
            passing &= self._holding(wanted.class_value)
        if wanted.iou_below is not None:
            passing &= self._figures["iou"][: self._size] < wanted.iou_below
        if wanted.days is not None:
            passing &= self._figures["date"][: self._size] >= time.time() - wanted.days * _DAY_S
        if wanted.only is not None:
            passing &= np.isin(self.ids, np.fromiter(wanted.only, np.int64, len(wanted.only)))
        if wanted.text:
            passing &= self._named(wanted.text.casefold(), passing)
        return passing

    def _holding(self, class_value: int) -> NDArray[np.bool_]:
        classes = self._figures["classes"][: self._size]
        holding: NDArray[np.bool_] = classes == 0 if class_value == 0 else (classes >> (class_value - 1)) & 1 > 0
        return holding

    def _named(self, text: str, passing: NDArray[np.bool_]) -> NDArray[np.bool_]:
        named = np.zeros(self._size, bool)
        at = np.flatnonzero(passing).tolist()
        names = self._names
        named[[row for row in at if text in names[row]]] = True
        return named

    def _sorted(self, at: NDArray[np.int64], order: Order) -> NDArray[np.int64]:
        figures = self._figures
        if order is Order.NAME:
            return at[np.argsort(self._name_ranks()[at], kind="stable")]
        keys: dict[Order, Callable[[], NDArray[Any]]] = {
            Order.UNSURE_FIRST: lambda: _steps(figures["confidence"][at], none=2.0),
            Order.SURE_FIRST: lambda: _steps(1 - figures["confidence"][at], none=2.0),
            Order.STATE: lambda: figures["state"][at],
            Order.NEWEST_FIRST: lambda: -figures["date"][at],
            Order.WORST_FIRST: lambda: _steps(figures["iou"][at], none=2.0),
        }
        if order not in keys:
            return at
        by: NDArray[np.int64] = np.argsort(keys[order](), kind="stable")
        return at[by]

    def _name_ranks(self) -> NDArray[np.int64]:
        if self._by_name is None:
            # Python's sort is fast on names that came in order, which those of a folder do.
            order = sorted(range(self._size), key=self._names.__getitem__)
            self._by_name = np.empty(self._size, np.int64)
            self._by_name[order] = np.arange(self._size)
        return self._by_name


def _steps(figures: NDArray[Any], *, none: float) -> NDArray[np.uint16]:
    """Figures in 0..1 as whole steps: sixteen bits are sorted by radix, ten times as fast as floats."""
    steps: NDArray[np.uint16] = np.rint(np.nan_to_num(figures, nan=none) * 30_000).astype(np.uint16)
    return steps
