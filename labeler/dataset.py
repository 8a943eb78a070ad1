"""From labelled images to batches: decoded once, cropped, turned, standardised."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labeler import images, masks
from labeler.errors import ImageError, MaskError
from labeler.records import Image, Mask
from labeler.settings import Settings

OBJECT_CENTRED = 0.5  # share of crops around a foreground pixel, so that small objects are seen
SHOWN_PAIRS = 64  # of a core, looked at to tell what kind of images it has
FEWEST_POLAR = 2  # images of the rarer polarity
POLAR_CHANCE = 0.05
MOST_OFTEN = 2  # times as often as the rest
ACCEPTED_SHARE = 0.8  # of a batch from accepted masks, where there are any: they are many, and the core is few
FEW_OBJECTS = 3  # in an image
CLEAR_CONTRAST = 1.0  # standard deviations of the image; below it brightness is not what tells objects
# Times as large a share of the image as objects cover in others (90 % and 10 % quantile). Images of one kind differ by
# 3 to 26 (12 labels of cells or nuclei), holes and uneven thirds of magnetic tiles by 60 to 330.
MANIFOLD = 50
ALIKE = 0.5  # share of the crops that get look-alikes, where objects are laid over crops
SMOOTH = 5  # px, so that a look-alike is told by its brightness in spite of noise
APART = 7  # px, so that it is no edge of an object
SMALLEST_ALIKE = 40  # px
Crop = tuple[NDArray[np.float32], Mask]  # (p, p, channels) standardised, and (p, p)
DARKEST_STD = 1 / 255  # of the full scale: keeps a flat image from becoming amplified noise


@dataclass(frozen=True, slots=True)
class Sample:
    """Where one labelled pair lies; the hashes are checked when it is read."""

    image_path: Path
    mask_path: Path
    image_sha256: str | None = None
    mask_sha256: str | None = None
    fresh: bool = False  # new since the champion was trained
    seen: float = 1.0  # probability that an image like this one is among the labelled ones


@dataclass(frozen=True, slots=True)
class Pair:
    """A decoded pair; ``mean`` and ``scale`` turn pixels into network input: (x - mean) * scale."""

    image: Image
    mask: Mask
    mean: float
    scale: float
    foreground: NDArray[np.int64]  # flat indices of some foreground pixels
    contrast: float  # mean of the objects' pixels less that of the others, in standard deviations; 0 without either
    middle: float  # brightness halfway between the two means, standardised
    fresh: bool


def standardisation(image: Image) -> tuple[float, float]:
    """(mean, 1/std) over all pixels and channels of an image, in its own units."""
    full = float(np.iinfo(image.dtype).max)
    return float(image.mean()), 1 / max(float(image.std()), DARKEST_STD * full)


def resized(image: Image, scale: float) -> Image:
    """An image at a network's working scale: sides times ``scale``, each new pixel the mean of those it covers."""
    if scale == 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    smaller: Image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return smaller


def network_input(image: Image, *, channels: int = 3) -> Tensor:
    """(channels, H, W) float32, mean 0 and standard deviation 1 over the image; grey is repeated."""
    mean, scale = standardisation(image)
    planes = torch.from_numpy(image.astype(np.float32)).sub_(mean).mul_(scale)
    planes = planes.unsqueeze(-1) if planes.ndim == 2 else planes
    if channels == 1:
        return planes.mean(dim=-1, keepdim=True).movedim(-1, 0)
    return planes.movedim(-1, 0).expand(channels, -1, -1)


def read_pair(sample: Sample, *, classes: int) -> Pair:
    """Decode one pair; ImageError and MaskError name the file."""
    image = images.load(sample.image_path, sha256=sample.image_sha256)
    mask = masks.load(sample.mask_path, sha256=sample.mask_sha256)
    mask = masks.checked(mask, shape=(image.shape[0], image.shape[1]), classes=classes, name=str(sample.mask_path))
    return pair_of(image, mask, fresh=sample.fresh)


def pair_of(image: Image, mask: Mask, *, fresh: bool = False) -> Pair:
    """A pair with what its crops need to know of the whole."""
    foreground = np.flatnonzero(mask)
    if foreground.size > 4096:  # enough to centre crops on; the whole index of a large mask is not
        foreground = foreground[np.linspace(0, foreground.size - 1, 4096, dtype=np.int64)]
    mean, scale = standardisation(image)
    difference = contrast(image, mask) * scale
    middle = difference * (0.5 - np.count_nonzero(mask) / mask.size)  # the mean of all is 0
    return Pair(image, mask, mean, scale, foreground, difference, middle, fresh)


def at_scale(pair: Pair, scale: float) -> Pair:
    """A pair at a network's working scale; the mask keeps the class of the pixel in the middle of each new one."""
    if scale == 1:
        return pair
    image = resized(pair.image, scale)
    mask = cv2.resize(pair.mask, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_NEAREST_EXACT)
    return pair_of(image, mask, fresh=pair.fresh)


class Core:
    """The labelled pairs of a round, decoded once and kept up to a memory budget."""

    def __init__(self, samples: Sequence[Sample], *, classes: int, memory_mb: int) -> None:
        self.samples = list(samples)
        self.classes = classes
        self.skipped: list[str] = []
        self.scale = 1.0
        self._kept: dict[int, Pair] = {}
        self._room = memory_mb * 2**20

    def __len__(self) -> int:
        return len(self.samples)

    def preload(self, index: int) -> bool:
        """Read one pair; False (with the reason in ``skipped``) where it cannot be used."""
        try:
            self.pair(index)
        except (ImageError, MaskError) as error:
            self.skipped.append(str(error))
            return False
        return True

    def keep_only(self, usable: Sequence[int]) -> None:
        """Drop the samples that could not be read."""
        self._kept = {new: self._kept[old] for new, old in enumerate(usable) if old in self._kept}
        self.samples = [self.samples[index] for index in usable]

    def rescale(self, scale: float) -> None:
        """Give the pairs at a network's working scale from now on; to be called once."""
        assert self.scale == 1
        self.scale = scale
        self._kept = {index: at_scale(pair, scale) for index, pair in self._kept.items()}

    @property
    def room_mb(self) -> int:
        """Memory that is left for further pairs, in MiB."""
        return self._room >> 20

    def is_kept(self, index: int) -> bool:
        """Whether a pair is in memory."""
        return index in self._kept

    def pair(self, index: int) -> Pair:
        """A decoded pair, from memory where it is kept."""
        if index in self._kept:
            return self._kept[index]
        pair = at_scale(read_pair(self.samples[index], classes=self.classes), self.scale)
        size = pair.image.nbytes + pair.mask.nbytes
        if size <= self._room:
            self._room -= size
            self._kept[index] = pair
        return pair


def _shown(core: Core) -> Iterator[Pair]:
    """Pairs from the whole of a core: labels that came one after another may be of one kind."""
    for index in np.unique(np.linspace(0, len(core) - 1, SHOWN_PAIRS).astype(int)):
        yield core.pair(int(index))


def polarity_varies(core: Core) -> bool:
    """Whether objects stand out as brighter and as darker than the rest, as often as not for all that is known.

    A sign test at 5 %: two dark ones among ten may be chance, eight among forty are not (there, dsb2018 nuclei,
    inverted crops cost an IoU of 0.012).
    """
    contrasts = [pair.contrast for pair in _shown(core) if 0 < np.count_nonzero(pair.mask) < pair.mask.size]
    brighter = sum(value >= CLEAR_CONTRAST for value in contrasts)
    darker = sum(value <= -CLEAR_CONTRAST for value in contrasts)
    rarer, clear = min(brighter, darker), brighter + darker
    chance = sum(math.comb(clear, count) for count in range(rarer + 1)) / 2**clear
    return rarer >= FEWEST_POLAR and 2 * clear >= len(contrasts) and chance >= POLAR_CHANCE


def contrast(image: NDArray[Any], mask: Mask) -> float:
    """Mean of the objects' pixels less that of the others, in units of the image; 0 where either is missing."""
    objects = mask > 0
    return float(image[objects].mean() - image[~objects].mean()) if 0 < np.count_nonzero(objects) < mask.size else 0.0


def pasted_over(crop: Crop, donor: Crop, sign: float, *, lot: float, turns: int) -> Crop:
    """A crop with one object of another of the same size on top, turned by ``turns`` right angles.

    Ghiasi et al., Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation (CVPR 2021).
    """
    count, regions = cv2.connectedComponents(donor[1])
    chosen = np.rot90(regions == 1 + int(lot * (count - 1)), turns)
    image, mask = crop[0].copy(), crop[1].copy()
    image[chosen], mask[chosen] = sign * np.rot90(donor[0], turns)[chosen], np.rot90(donor[1], turns)[chosen]
    return image, mask


def look_alikes(crop: Crop, contrast: float, middle: float) -> NDArray[np.bool_]:
    """(p, p), True on what is as bright as the objects of its pair but is none and touches none."""
    image, mask = crop
    alike = (cv2.blur(image.mean(axis=2), (SMOOTH, SMOOTH)) > middle) == (contrast > 0)
    alike &= cv2.dilate((mask > 0).astype(np.uint8), np.ones((APART, APART), np.uint8)) == 0
    _, regions, figures, _ = cv2.connectedComponentsWithStats(alike.astype(np.uint8), connectivity=4)
    large = figures[:, cv2.CC_STAT_AREA] >= SMALLEST_ALIKE
    large[0] = False
    found: NDArray[np.bool_] = large[regions]
    return found


def pasted_under(
    crop: Crop, donor: NDArray[np.float32], alike: NDArray[np.bool_], sign: float, *, lots: NDArray[np.float64]
) -> Crop:
    """A crop with the look-alikes of another image beneath its objects, moved so that the two meet.

    ``donor`` (p, p, channels) and ``alike`` (p, p) True on its look-alikes; two ``lots`` in [0, 1) choose the place.
    """
    image, mask = crop[0].copy(), crop[1]
    there, here = np.argwhere(alike), np.argwhere(mask)
    if not len(there) or not len(here):
        return crop
    move = here[int(lots[0] * len(here))] - there[int(lots[1] * len(there))]
    rows, columns = (there + move).T
    inside = (rows >= 0) & (rows < mask.shape[0]) & (columns >= 0) & (columns < mask.shape[1])
    inside[inside] = mask[rows[inside], columns[inside]] == 0
    image[rows[inside], columns[inside]] = sign * donor[tuple(there[inside].T)]
    return image, mask


def is_sparse(core: Core) -> bool:
    """Whether the images of a core show few objects each. Crowded ones show by themselves how objects touch."""
    return float(np.median([cv2.connectedComponents(pair.mask)[0] - 1 for pair in _shown(core)])) <= FEW_OBJECTS


def sizes_vary(core: Core) -> bool:
    """Whether what some images show is tiny beside what others show: the rare kinds of one class, or of several."""
    shares = [np.count_nonzero(pair.mask) / pair.mask.size for pair in _shown(core) if pair.mask.any()]
    small, large = np.percentile(shares, (10, 90)) if shares else (1.0, 1.0)
    return bool(large >= MANIFOLD * small)


class Batches:
    """Endless random batches of augmented crops; the same ``rng`` gives the same batches."""

    def __init__(
        self,
        core: Core,
        settings: Settings,
        rng: np.random.Generator,
        *,
        channels: int,
        favour_new: bool = False,
        accepted: Core | None = None,
    ) -> None:
        """``favour_new``: what is new since the champion comes more often, for a network that knows the rest.

        ``accepted``: images with masks that no person has seen; most of each batch is drawn from them.
        """
        self.core, self.settings, self.rng, self.channels = core, settings, rng, channels
        self.accepted = accepted
        self.fresh = [index for index, sample in enumerate(core.samples) if sample.fresh and favour_new]
        self.inverting = settings.invert == "yes" or (settings.invert == "auto" and polarity_varies(core))
        self.sizes_vary = sizes_vary(core)
        self.paste = settings.paste if is_sparse(core) and not self.sizes_vary else 0.0

    def draw(
        self, count: int, *, stretched: bool = True, pasted: bool = True
    ) -> tuple[Tensor, Tensor, tuple[Sample, ...]]:
        """Inputs (count, channels, p, p) float32, targets (count, p, p) int64, and the samples they came from."""
        chosen = self._choose(count)
        stretch = self.settings.stretch if stretched else 0.0
        pairs = [source.pair(index) for source, index in chosen]
        crops = [self._crop(pair, stretch) for pair in pairs]
        crops = self._pasted(crops, pairs) if pasted else crops
        inputs = np.stack([image for image, _ in crops])
        targets = np.stack([mask for _, mask in crops])
        x = torch.from_numpy(inputs).movedim(-1, 1).expand(-1, self.channels, -1, -1)
        samples = tuple(source.samples[index] for source, index in chosen)
        return self._lit(x, count), torch.from_numpy(targets).long(), samples

    def _choose(self, count: int) -> list[tuple[Core, int]]:
        """ACCEPTED_SHARE of a batch from the accepted, the rest from the core."""
        taken = round(ACCEPTED_SHARE * count) if self.accepted is not None else 0
        chosen = [(self.core, index) for index in self._choose_core(count - taken)]
        if self.accepted is not None:
            lot = self.rng.integers(len(self.accepted), size=taken)
            chosen += [(self.accepted, int(index)) for index in lot]
        return chosen

    def _choose_core(self, count: int) -> list[int]:
        """Up to half from what is new, at most MOST_OFTEN its share, the rest from the whole core."""
        share = min(0.5, MOST_OFTEN * len(self.fresh) / len(self.core))
        new = round(count * share) if len(self.fresh) < len(self.core) else 0
        chosen = self.rng.choice(self.fresh, new) if new else np.empty(0, np.int64)
        rest = self.rng.integers(len(self.core), size=count - new)
        return [int(index) for index in np.concatenate([chosen, rest])]

    def _crop(self, pair: Pair, stretch: float) -> Crop:
        """One standardised crop (p, p, channels) and its mask (p, p), turned and stretched, mirrored at the borders."""
        patch, turn = self.settings.patch, self._turn(stretch)
        middle = np.full(2, (patch - 1) / 2)
        height, width = pair.mask.shape
        top, left = self._corner(pair, height, width)
        # Only what the crop can reach: the whole of a large image is more than OpenCV takes.
        reach = math.ceil(np.abs(turn).sum(axis=1).max() * patch / 2) + self.settings.shift
        rows, columns = (slice(max(0, at + patch // 2 - reach), at + patch // 2 + reach + 1) for at in (top, left))
        place = middle + np.array([left - columns.start, top - rows.start])
        matrix = np.column_stack([turn, place - turn @ middle])
        image, mask = (
            cv2.warpAffine(
                np.ascontiguousarray(pixels[rows, columns]),
                matrix,
                (patch, patch),
                flags=how | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REFLECT_101,
            )
            for pixels, how in ((pair.image, cv2.INTER_LINEAR), (pair.mask, cv2.INTER_NEAREST))
        )
        image = image.astype(np.float32)
        image = image[..., None] if image.ndim == 2 else image
        if image.shape[-1] != self.channels and self.channels == 1:
            image = image.mean(axis=-1, keepdims=True)
        wide = np.broadcast_to(image, (*image.shape[:2], self.channels))
        return (wide - np.float32(pair.mean)) * np.float32(pair.scale), mask

    def _pasted(self, crops: list[Crop], pairs: list[Pair]) -> list[Crop]:
        """Some crops with an object of another one over them, some with its look-alikes beneath their objects.

        So things touch and hide one another, and the shape has to tell them apart.
        """
        found = list(crops)
        for index, donor, sign in self._donors(pairs, self.paste):
            lot, turns = self.rng.random(), int(self.rng.integers(4))
            found[index] = pasted_over(crops[index], crops[donor], sign, lot=lot, turns=turns)
        for index, donor, sign in self._donors(pairs, ALIKE if self.paste else 0.0):
            lots, turns = self.rng.random(2), int(self.rng.integers(4))
            contrast, middle = pairs[donor].contrast, pairs[donor].middle
            if abs(contrast) >= CLEAR_CONTRAST:
                alike = np.rot90(look_alikes(crops[donor], contrast, middle), turns)
                image = np.rot90(crops[donor][0], turns)
                found[index] = pasted_under(found[index], image, alike, sign, lots=lots)
        return found

    def _donors(self, pairs: list[Pair], share: float) -> Iterator[tuple[int, int, float]]:
        """A share of the crops, each with another one of the batch and the sign of its brightness here."""
        chosen = self.rng.random(len(pairs)) < share
        donors = self.rng.integers(len(pairs), size=len(pairs))
        for index in np.flatnonzero(chosen):
            # What is bright here and dark there is the same object only where inverted crops are the same image.
            sign = float(np.sign(pairs[index].contrast * pairs[donors[index]].contrast))
            if donors[index] != index and (sign > 0 or (sign < 0 and self.inverting)):
                yield int(index), int(donors[index]), sign

    def _turn(self, stretch: float) -> NDArray[np.float64]:
        """(2, 2): from places (x, y) about the middle of a crop to those of the image; stretch, shear, a symmetry."""
        across, down = np.exp(self.rng.uniform(-stretch, stretch, 2))
        turn = np.array([[across, self.rng.uniform(-stretch, stretch)], [0.0, down]])
        if self.settings.dihedral:
            turn = turn * self.rng.choice([-1.0, 1.0], 2)
            turn = turn[:, ::-1] if self.rng.random() < 0.5 else turn
        return turn

    def _corner(self, pair: Pair, height: int, width: int) -> tuple[int, int]:
        shift, patch = self.settings.shift, self.settings.patch
        if pair.foreground.size and self.rng.random() < OBJECT_CENTRED:
            row, column = divmod(int(self.rng.choice(pair.foreground)), width)
            row, column = (int(v + self.rng.integers(-patch // 3, patch // 3 + 1)) - patch // 2 for v in (row, column))
        else:
            row, column = (
                int(self.rng.integers(min(0, side - patch) - shift, max(0, side - patch) + shift + 1))
                for side in (height, width)
            )
        return self._clamped(row, height), self._clamped(column, width)

    def _clamped(self, start: int, side: int) -> int:
        shift, patch = self.settings.shift, self.settings.patch
        return min(max(start, min(0, side - patch) - shift), max(0, side - patch) + shift)

    def _lit(self, x: Tensor, count: int) -> Tensor:
        """Brightness, contrast and polarity, drawn for each crop."""
        spread = self.settings.brightness
        contrast = self.rng.uniform(1 - spread, 1 + spread, count)
        if self.inverting:
            contrast *= self.rng.choice([-1.0, 1.0], count)
        offset = self.rng.uniform(-spread, spread, count)
        factors = torch.from_numpy(np.stack([contrast, offset]).astype(np.float32)).view(2, count, 1, 1, 1)
        return x * factors[0] + factors[1]
