"""The queue: which images wait for a person, in the order of an acquisition function, worked out when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from labeler.acquisition import ACQUISITIONS, Acquisition, Candidates, Known, seeds
from labeler.project import Project
from labeler.records import ImageState, Split, VersionRecord

CAREFUL = 128  # places that are chosen one by one, each for what it adds to those before
CONSIDERED = 1024  # of so many waiting images: the most likely wrong, and some by lot
FRONT = 64  # images that a window shows in the order asked for: with each label it changes
COMPARED = 512  # labels that candidates are compared with, the newest ones

_PLAIN = [chosen for chosen in ACQUISITIONS.values() if chosen.front and not chosen.needs_looks]


class Queue:
    """Orders the images that wait; an order is worked out again only after the catalogue has changed."""

    def __init__(self, project: Project, *, trained_mark: Callable[[VersionRecord | None], int]) -> None:
        """``trained_mark`` gives the newest label id that a version was trained on."""
        self._project = project
        self._trained_mark = trained_mark
        self._kept: dict[str, tuple[int | None, list[int]]] = {}  # by name: the limit asked for, and the ids
        self._kept_at = -1

    def ids(self, name: str, *, limit: int | None = None) -> list[int]:
        """Ids of waiting images in the order called ``name``; before the first model, seeds first.

        A ``limit`` is worth giving: of 100,000 images only the front is then looked at.
        """
        if self._kept_at != self._project.changes:
            self._kept.clear()
            self._kept_at = self._project.changes
        until, known = self._kept.get(name, (0, []))
        if until is not None and (limit is None or limit > until):
            known = self._ordered(name, limit)
            self._kept[name] = limit, known
        return known[:limit]

    def _ordered(self, name: str, limit: int | None) -> list[int]:
        champion = self._project.champion()
        catalogue = self._project.catalogue
        states = (ImageState.QUEUED, ImageState.POOL) if champion is None else (ImageState.QUEUED,)
        chosen = ACQUISITIONS[name]
        if champion is None and name not in ("random", "streamed"):
            chosen = Acquisition(seeds, front="sha256", needs_looks=True)
        most = CONSIDERED if chosen.needs_looks else limit if chosen.front else None
        found = catalogue.candidates.columns(states, signal=chosen.signal, most=most, front=chosen.front)
        if chosen.needs_looks:
            found = self._with_looks(found, champion)
        known = self._known(champion) if chosen.needs_looks else Known()
        places = CAREFUL if limit is None else min(limit, CAREFUL)
        ids: list[int] = found.image_ids[chosen.order(found, known, places)].tolist()
        counts = self._project.counts()
        if len(ids) < min(counts.queued + counts.pool, counts.streamed if limit is None else limit):
            ids += self._behind(ids, states, chosen)
        return ids if limit is None else ids[:limit]

    def _behind(self, ids: Sequence[int], states: Sequence[ImageState], chosen: Acquisition) -> Iterable[int]:
        """Those that were not considered, in the order in which they would have been."""
        found = self._project.catalogue.candidates.columns(states)
        order = next(other.order for other in _PLAIN if other.front == chosen.front)(found, Known(), 0)
        taken = set(ids)
        return (image_id for image_id in found.image_ids[order].tolist() if image_id not in taken)

    def _with_looks(self, found: Candidates, champion: VersionRecord | None) -> Candidates:
        version = None if champion is None else champion.version
        looks = self._project.catalogue.embeddings.read(found.image_ids.tolist(), version=version)
        return Candidates(found.image_ids, found.skips, found.draw, found.confidence, found.signal, looks)

    def _known(self, champion: VersionRecord | None) -> Known:
        version = None if champion is None else champion.version
        mark = self._trained_mark(champion)
        core = self._project.catalogue.candidates.newest_labelled(COMPARED, split=Split.CORE, until=mark)
        fresh = self._project.catalogue.candidates.newest_labelled(COMPARED, after=mark)
        vectors = self._project.catalogue.embeddings.read([*core, *fresh], version=version)
        taught, since = np.split(vectors, [len(core)])
        return Known(taught, since, answered=self._project.counts().labelled)
