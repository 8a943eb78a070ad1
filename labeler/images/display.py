"""Images for the eye: 8-bit RGB and thumbnails. Never used for training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from labeler.records import Image

_SHARES = (0.001, 0.999)


def load_8bit(image: Image) -> NDArray[np.uint8]:
    """(H, W) or (H, W, 3) uint8 for display; 16 bit is stretched from its 0.1 to its 99.9 percentile over all channels.

    An 8-bit image that lies in one piece is returned itself.
    """
    return np.ascontiguousarray(image if image.dtype == np.uint8 else _stretch(image)[image])


def load_rgb8(image: Image) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 for display; see ``load_8bit``."""
    shown = load_8bit(image)
    return np.ascontiguousarray(np.broadcast_to(shown[..., None], (*shown.shape, 3)) if shown.ndim == 2 else shown)


def _stretch(image: Image) -> NDArray[np.uint8]:
    """Display value of each of the 65,536 pixel values: a table costs two passes however large the image is."""
    counts = np.bincount(image.ravel(), minlength=65536)
    levels = np.searchsorted(np.cumsum(counts), np.array(_SHARES) * image.size)
    if levels[0] == levels[1]:  # nearly all pixels are equal: show the few that are not
        levels = np.flatnonzero(counts)[[0, -1]]
    low, high = (int(level) for level in levels)
    values = np.arange(65536, dtype=np.float64)
    share = (values - low) / (high - low) if high > low else values / 65535
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)


def thumbnail(image: Image, side: int) -> NDArray[np.uint8]:
    """(h, w, 3) uint8 with ``max(h, w) == side``; small images are enlarged pixel by pixel."""
    height, width = image.shape[:2]
    longest = max(height, width)
    # Every n-th pixel is plenty before an averaging resize, and saves the passes over a very large image.
    step = max(1, longest // (4 * side))
    small = load_rgb8(image[::step, ::step])
    size = (max(1, round(width * side / longest)), max(1, round(height * side / longest)))
    resample = PILImage.Resampling.NEAREST if longest < side else PILImage.Resampling.BOX
    return np.array(PILImage.fromarray(small).resize(size, resample))
