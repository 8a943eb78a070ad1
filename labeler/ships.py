"""The article's generator: an ellipse to find, a distractor to ignore, noise everywhere."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from skimage import draw

Pixels = NDArray[np.intp]
Distractor = Literal["rectangle", "triangle", "none"]
LOW, HIGH = (0.0, 0.75), (0.25, 1.0)  # ranges of the uniform noise


@dataclass(frozen=True, slots=True)
class ShipsConfig:
    """What is drawn; the defaults are the article's."""

    size: int = 128  # image side in pixels
    margin: int = 20  # centres and corners lie in [margin, size - margin)
    radii: tuple[float, float] = (10.0, 20.0)  # semi-axes of the ellipse
    sides: tuple[float, float] = (10.0, 40.0)  # sides of the distractor
    distractor: Distractor = "rectangle"


ARTICLE = ShipsConfig()


def pair(rng: np.random.Generator, config: ShipsConfig = ARTICLE) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """One image (size, size, 3) float32 in 0..1 and its mask (size, size) uint8 with 1 on the ellipse."""
    shape = (config.size, config.size)
    dark = rng.random() < 0.5
    background, foreground = (LOW, HIGH) if dark else (HIGH, LOW)
    image = _noise(rng, config.size * config.size, background).reshape(*shape, 3)
    rows, columns = _ellipse(rng, config)
    if config.distractor != "none":
        other = _moved_away(*_distractor(rng, config), rows, columns, config.size)
        image[other] = _noise(rng, len(other[0]), foreground)
    image[rows, columns] = _noise(rng, len(rows), foreground)
    mask = np.zeros(shape, np.uint8)
    mask[rows, columns] = 1
    return image, mask


def pairs(
    count: int, *, seed: int, config: ShipsConfig = ARTICLE
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint8]]]:
    """``count`` pairs; the k-th depends on ``seed`` and k alone, so any part can be drawn again."""
    for index in range(count):
        yield pair(np.random.default_rng((seed, index)), config)


def as_uint8(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The image as 8-bit pixels, as it is stored in files."""
    return np.round(image * 255).astype(np.uint8)


def _noise(rng: np.random.Generator, pixels: int, bounds: tuple[float, float]) -> NDArray[np.float32]:
    low, high = bounds
    return rng.random((pixels, 3), dtype=np.float32) * np.float32(high - low) + np.float32(low)


def _ellipse(rng: np.random.Generator, config: ShipsConfig) -> tuple[Pixels, Pixels]:
    row, column = rng.uniform(config.margin, config.size - config.margin, 2)
    semi_rows, semi_columns = rng.uniform(*config.radii, 2)
    angle = math.radians(rng.uniform(0, 360))
    rows, columns = draw.ellipse(row, column, semi_rows, semi_columns, shape=(config.size, config.size), rotation=angle)
    return rows, columns


def _distractor(rng: np.random.Generator, config: ShipsConfig) -> tuple[Pixels, Pixels]:
    """Pixels of the rectangle (or of the triangle on its first three corners), clipped by the border."""
    row, column = np.round(rng.uniform(config.margin, config.size - config.margin, 2))
    height, width = np.round(rng.uniform(*config.sides, 2))
    corners = [(row, column), (row + height, column), (row + height, column + width), (row, column + width)]
    corners = corners[:3] if config.distractor == "triangle" else corners
    outline = np.array(corners).T
    rows, columns = draw.polygon(outline[0], outline[1], shape=(config.size, config.size))
    return rows, columns


def _moved_away(
    rows: Pixels, columns: Pixels, other_rows: Pixels, other_columns: Pixels, size: int
) -> tuple[Pixels, Pixels]:
    """The distractor, moved off the ellipse where they share both rows and columns, clipped by the border."""
    shared_rows, shared_columns = _shared(rows, other_rows, size), _shared(columns, other_columns, size)
    if shared_rows.size and shared_columns.size:
        rows = rows + _step(rows, shared_rows)
        columns = columns + _step(columns, shared_columns)
        inside = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
        rows, columns = rows[inside], columns[inside]
    return rows, columns


def _shared(ours: Pixels, theirs: Pixels, size: int) -> Pixels:
    """Indices that occur in both (np.intersect1d sorts every pixel: four times as slow)."""
    return np.flatnonzero((np.bincount(ours, minlength=size) > 0) & (np.bincount(theirs, minlength=size) > 0))


def _step(ours: Pixels, shared: Pixels) -> int:
    return len(shared) if ours.mean() > shared.mean() else -len(shared)
