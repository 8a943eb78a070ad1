"""Which image a person sees next: plain functions from columns of figures to an order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

TWIN = 0.95  # cosine from which one label says all that two would
ONE_IN = 7  # every seventh place goes to an image drawn by lot: 14 %
SPREAD = 1e-3  # standard deviations below this are rounding; they must not be blown up to look like news
ENOUGH = 16  # vectors; the mean and spread of fewer say nothing
REFERENCES = 1024  # images that seeds are to stand for; a sample of any stream

Vectors = NDArray[np.float32]  # (N, D) embeddings; rows of zeros where there is none
Ranks = NDArray[np.intp]  # a permutation of the candidates
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Images that wait, as columns of one length N, by id; NaN where a figure is not known."""

    image_ids: NDArray[np.int64]
    skips: NDArray[np.int64]
    draw: Floats  # 0..1, from the content's hash: random, and always the same
    confidence: Floats
    signal: Floats  # the signal of the prediction that the order asks for
    looks: Vectors


def _no_vectors() -> Vectors:
    return np.zeros((0, 0), np.float32)


@dataclass(frozen=True, slots=True)
class Known:
    """What has been labelled: embeddings of the core that the champion was taught, and of what came since."""

    taught: Vectors = field(default_factory=_no_vectors)
    fresh: Vectors = field(default_factory=_no_vectors)
    answered: int = 0  # labels made so far: which of the next places are drawn by lot


Order = Callable[[Candidates, Known, int], Ranks]
"""Ranks of all candidates, of which the first ``places`` are chosen with care; what was skipped comes last."""


def least_confident(found: Candidates, known: Known, places: int) -> Ranks:
    """Lowest predicted IoU first."""
    return _by(found, np.nan_to_num(found.confidence, nan=0.0))


def smallest_margin(found: Candidates, known: Known, places: int) -> Ranks:
    """Probabilities nearest to 0.5 along the edge first; what lacks the figure follows by confidence."""
    return _by(found, np.where(np.isnan(found.signal), 1 + np.nan_to_num(found.confidence), found.signal))


def highest_entropy(found: Candidates, known: Known, places: int) -> Ranks:
    """Most uncertain edge first; what lacks the figure follows by confidence."""
    return _by(found, np.where(np.isnan(found.signal), 1 + np.nan_to_num(found.confidence), -found.signal))


def least_agreement(found: Candidates, known: Known, places: int) -> Ranks:
    """Where the champion's mask has the lowest IoU with the one before; without one, the confidence stands for it."""
    return _by(found, np.where(np.isnan(found.signal), np.nan_to_num(found.confidence), found.signal))


def by_lot(found: Candidates, known: Known, places: int) -> Ranks:
    """A random order that never changes."""
    return _by(found, found.draw)


def as_streamed(found: Candidates, known: Known, places: int) -> Ranks:
    """In the order in which the images were found."""
    return _by(found, found.image_ids.astype(np.float64))


def _by(found: Candidates, figure: Floats) -> Ranks:
    return np.lexsort((found.image_ids, figure, found.skips))


def informative(found: Candidates, known: Known, places: int) -> Ranks:
    """Predicted error x novelty, one by one: an image that looks like one taught or chosen before tells little.

    Novelty is 1 - the highest cosine. An image with a twin among those labelled since the champion, or chosen before
    it, waits behind the others until the net has changed. One place in seven is drawn by lot, against what the score
    is blind to; which ones depends on the number of labels, so that a person who takes the first image of an order
    again and again meets them too.
    """
    looks, taught, fresh = standardised(found.looks, known.taught, known.fresh)
    error = 1 - np.nan_to_num(found.confidence, nan=0.0)
    to_fresh = highest_cosine(looks, fresh)
    likeness = np.maximum(highest_cosine(looks, taught), to_fresh)
    behind = 2 * found.skips + (to_fresh > TWIN)
    left = np.ones(len(error), bool)
    chosen: list[int] = []
    for place in range(known.answered, known.answered + min(places, len(error))):
        open_ = left & (behind == behind[left].min())
        by_lot_now = place % ONE_IN == ONE_IN - 1
        worth = -found.draw if by_lot_now else error * (1 - likeness)
        best = int(np.where(open_, worth, -np.inf).argmax())
        left[best] = False
        chosen.append(best)
        cosine = looks @ looks[best]
        behind = np.where((cosine > TWIN) & (behind % 2 == 0), behind + 1, behind)
        likeness = np.maximum(likeness, cosine)
    rest = np.flatnonzero(left)
    worth = (error * (1 - likeness))[rest]
    return np.array([*chosen, *rest[np.lexsort((found.image_ids[rest], -worth, behind[rest]))]], np.intp)


def coreset(found: Candidates, known: Known, places: int) -> Ranks:
    """k-centre greedy: the image that is farthest from all that is labelled or chosen (Sener & Savarese 2018)."""
    looks, taught, fresh = standardised(found.looks, known.taught, known.fresh)
    # Before anything is known all are equally far, and the lot decides: less than what any two images differ by.
    likeness = np.maximum(highest_cosine(looks, taught), highest_cosine(looks, fresh)) + 1e-6 * found.draw
    left = np.ones(len(likeness), bool)
    chosen: list[int] = []
    for _ in range(min(places, len(likeness))):
        open_ = left & (found.skips == found.skips[left].min())
        best = int(np.where(open_, -likeness, -np.inf).argmax())
        left[best] = False
        chosen.append(best)
        likeness = np.maximum(likeness, looks @ looks[best])
    rest = np.flatnonzero(left)
    return np.array([*chosen, *rest[np.lexsort((likeness[rest], found.skips[rest]))]], np.intp)


def seeds(found: Candidates, known: Known, places: int) -> Ranks:
    """Typical and different images: greedy k-medoids, the BUILD of PAM (Kaufman & Rousseeuw 1990).

    Each place goes to the image that lowers the mean distance of all images to their nearest chosen one most. Without
    PAM's swaps, which lowered it by 3 % more on nuclei, the first n places are the same for every n. The rest by lot.
    """
    seen = np.flatnonzero(found.looks.any(axis=1))
    seen = seen[np.lexsort((found.draw[seen], found.skips[seen]))]
    looks, taught, fresh = centred(found.looks[seen], known.taught, known.fresh)
    references = looks[:REFERENCES]
    apart = _distances(looks, references)
    labelled = np.concatenate([taught, fresh])
    near = _distances(labelled, references).min(axis=0, initial=2.0)
    chosen: list[int] = []
    for _ in range(min(places, int((found.skips[seen] == 0).sum()))):
        gain = np.maximum(near - apart, 0).sum(axis=1)
        gain[chosen] = -1
        best = int(np.where(found.skips[seen] == 0, gain, -2).argmax())
        chosen.append(best)
        near = np.minimum(near, apart[best])
    first = seen[np.array(chosen, np.intp)]
    rest = by_lot(found, known, 0)
    return np.concatenate([first, rest[~np.isin(rest, first)]])


def standardised(looks: Vectors, *others: Vectors) -> tuple[Vectors, ...]:
    """The same vectors with mean 0 and deviation 1 in every feature, at length 1.

    A net's pooled features are never negative and share one large part: as they are, their cosines were above 0.95
    for 80 % of all pairs of generated ships, and nothing would be new.
    """
    return _rescaled(looks, *others, by_spread=True)


def centred(looks: Vectors, *others: Vectors) -> tuple[Vectors, ...]:
    """The same vectors without their mean, at length 1."""
    return _rescaled(looks, *others, by_spread=False)


def _rescaled(*parts: Vectors, by_spread: bool) -> tuple[Vectors, ...]:
    width = max(part.shape[1] for part in parts)
    parts = tuple(part if part.shape[1] == width else np.zeros((len(part), width), np.float32) for part in parts)
    together = np.concatenate(parts)
    known = together.any(axis=1)
    if known.sum() < ENOUGH:
        return tuple(np.zeros_like(part) for part in parts)
    spread = np.maximum(together[known].std(axis=0), SPREAD) if by_spread else np.float32(1)
    together = (together - together[known].mean(axis=0)) / spread
    together[~known] = 0
    together /= np.maximum(np.linalg.norm(together, axis=1, keepdims=True), 1e-9)
    ends = np.cumsum([len(part) for part in parts])
    return tuple(np.split(together, ends[:-1]))


def highest_cosine(looks: Vectors, others: Vectors) -> Floats:
    """Of each vector, the cosine with the most similar of the others, 0..1; 0 where there is none."""
    if not len(others):
        return np.zeros(len(looks))
    highest: Floats = (looks @ others.T).max(axis=1, initial=0.0).astype(np.float64)
    return highest


def _distances(looks: Vectors, others: Vectors) -> Vectors:
    distances: Vectors = np.sqrt(np.maximum(0, 2 - 2 * (looks @ others.T)))
    return distances


@dataclass(frozen=True, slots=True)
class Acquisition:
    """An order and what it needs to know of the candidates."""

    order: Order
    signal: str = ""
    front: str = ""  # the column of the catalogue whose lowest rows are enough to fill the front of the order
    needs_looks: bool = False


ACQUISITIONS: dict[str, Acquisition] = {
    "informative": Acquisition(informative, front="confidence", needs_looks=True),
    "confidence": Acquisition(least_confident, front="confidence"),
    "margin": Acquisition(smallest_margin, signal="margin"),
    "entropy": Acquisition(highest_entropy, signal="entropy"),
    "disagreement": Acquisition(least_agreement, signal="kept"),
    "coreset": Acquisition(coreset, front="sha256", needs_looks=True),
    "random": Acquisition(by_lot, front="sha256"),
    "streamed": Acquisition(as_streamed, front="id"),
}
