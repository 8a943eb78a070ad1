"""An image as it is looked at: 8 bit, at full size and halved again and again for small zooms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeler.images.display import load_8bit
from labeler.images.raster import opencv
from labeler.records import Image

SMALLEST = 64  # the side from which nothing is halved any more


@dataclass(frozen=True, slots=True, eq=False)
class Pyramid:
    """``image`` in its own type, and ``levels``: (h, w) or (h, w, 3) uint8, each half as large as the one before.

    Made on the thread that decodes: on a screen that shows 60 frames a second there is no time to halve anything.
    """

    image: Image
    levels: tuple[NDArray[np.uint8], ...]

    @classmethod
    def of(cls, image: Image) -> Pyramid:
        """All levels of an image (H, W) or (H, W, 3), uint8 or uint16; an 8-bit image is its own first level."""
        cv2 = opencv()
        levels: list[NDArray[Any]] = [load_8bit(image)]
        while max(levels[-1].shape[:2]) > SMALLEST:
            height, width = levels[-1].shape[:2]
            size = (width + 1) // 2, (height + 1) // 2
            levels.append(cv2.resize(levels[-1], size, interpolation=cv2.INTER_AREA))
        return cls(image, tuple(levels))

    @property
    def nbytes(self) -> int:
        """Memory held."""
        own = 0 if self.levels[0] is self.image else self.image.nbytes
        return own + sum(level.nbytes for level in self.levels)
