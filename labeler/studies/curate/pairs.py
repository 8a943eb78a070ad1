"""A stream whose every mask is known: where its images lie, and the truth about each."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from labeler import images, masks, ships
from labeler.errors import ImageError, MaskError, StorageError, StreamError
from labeler.files import write_atomically
from labeler.records import Image, ImageRecord, Mask, Progress, StreamItem, UnreadableItem
from labeler.stream import Ships, parse_source, scan

Indices = NDArray[np.int64]
FRESH_SEED = 1_000_003  # added to the seed of a stream of ships: its fresh stream


class Pairs(Protocol):
    """Pairs by their place in the source, 0 to len - 1."""

    def __len__(self) -> int: ...

    def path(self, index: int) -> Path:
        """The image's file."""
        ...

    def image(self, index: int) -> Image:
        """The pixels; ImageError where they cannot be read."""
        ...

    def mask(self, index: int) -> Mask:
        """The true mask (H, W); MaskError where it cannot be read or does not fit."""
        ...


@dataclass(frozen=True, slots=True)
class ShipsPairs:
    """Generated ships: drawn again whenever they are wanted, as files only where a project needs them."""

    source: Ships
    folder: Path

    def __len__(self) -> int:
        return self.source.count

    def path(self, index: int) -> Path:
        """The image's file, once ``take_in`` has written it."""
        config = self.source.config
        return self.folder / f"ships-{self.source.seed}-{config.distractor}-{config.size}-{index:06d}.png"

    def image(self, index: int) -> Image:
        """(size, size, 3) uint8, as it is in the file."""
        return ships.as_uint8(self._drawn(index)[0])

    def mask(self, index: int) -> Mask:
        """(size, size), 1 on the ellipse."""
        return self._drawn(index)[1]

    def _drawn(self, index: int) -> tuple[NDArray[np.float32], Mask]:
        return ships.pair(np.random.default_rng((self.source.seed, index)), self.source.config)

    def fresh(self, count: int, *, offset: int = FRESH_SEED) -> ShipsPairs:
        """As many that no run has streamed; they are never written."""
        return ShipsPairs(replace(self.source, seed=self.source.seed + offset, count=count), self.folder)


@dataclass(frozen=True, slots=True)
class FilePairs:
    """Images and the masks of the same names."""

    images: tuple[Path, ...]
    masks: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.images)

    def path(self, index: int) -> Path:
        """The image's file."""
        return self.images[index]

    def image(self, index: int) -> Image:
        """The decoded image."""
        return images.load(self.images[index])

    def mask(self, index: int) -> Mask:
        """The reference mask, one class."""
        return masks.load_reference(self.masks[index], classes=1)


class PairsOracle:
    """Answers a project's queries with the truth of the pairs that it was made from."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs
        self._places = {pairs.path(index): index for index in range(len(pairs))}

    def index(self, record: ImageRecord) -> int:
        """Place of an image in the pairs; MaskError where it is none of them."""
        if record.path not in self._places:
            raise MaskError(f"{record.path.name}: is none of the pairs; leave it out")
        return self._places[record.path]

    def mask(self, record: ImageRecord) -> Mask:
        """The true mask of one image; MaskError where there is none or it does not fit."""
        mask = self.pairs.mask(self.index(record))
        return masks.checked(mask, shape=(record.height, record.width), classes=1, name=record.path.name)


def take_in(text: str, reference: Path | None, folder: Path) -> Generator[Progress, None, Pairs]:
    """The pairs that a person names: ``ships:1000?seed=1``, or images and the folder of their masks.

    Ships are written below ``folder``. StreamError where there is no pair at all, or no masks are named.
    """
    source = parse_source(text)
    if isinstance(source, Ships):
        pairs = ShipsPairs(source, folder)
        yield from write_ships(pairs)
        return pairs
    if reference is None:
        raise StreamError(f"{text}: the true masks are needed; name their folder with --reference")
    if not reference.is_dir():
        raise StreamError(f"{reference}: is no folder; name the folder with the reference masks")
    found: list[Path] = []
    for done, item in enumerate(scan(source, known={}, frames_folder=folder), 1):
        if isinstance(item, StreamItem):
            found.append(item.path)
        yield Progress("reading images", done, 0)
    return paired(found, reference)


def paired(found: Sequence[Path], reference: Path) -> FilePairs:
    """The images that have a mask in ``reference``, in their order; StreamError where none has."""
    known = masks.find_pairs(found, reference)
    kept = [path for path in found if path in known]
    if not kept:
        raise StreamError(f"{reference}: no mask there is named like an image; name the right folder")
    return FilePairs(tuple(kept), tuple(known[path] for path in kept))


def write_ships(pairs: ShipsPairs) -> Generator[Progress, None, None]:
    """The files that are missing; not synced, as the same seed makes them again."""
    try:
        pairs.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{pairs.folder}: cannot be written ({error.strerror}); choose another folder") from error
    for index in range(len(pairs)):
        path = pairs.path(index)
        if not path.exists():
            write_atomically(path, images.encode(pairs.image(index)), durable=False)
        yield Progress("drawing", index + 1, len(pairs))


def stream_items(pairs: Pairs, order: Indices) -> Iterator[StreamItem | UnreadableItem]:
    """The files of the pairs in this order, as a project takes them up."""
    for index in order:
        path = pairs.path(int(index))
        try:
            yield images.probe(path)
        except ImageError as error:
            yield UnreadableItem(path, str(error))
