"""Generated pairs as files: images and their reference masks in two folders."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np

from labeler import images, ships
from labeler.errors import StorageError
from labeler.files import write_atomically
from labeler.records import Progress
from labeler.ships import ShipsConfig

Choice = Callable[[int], ShipsConfig]  # index of a pair -> what is drawn


def write_pairs(folder: Path, count: int, *, seed: int, choice: Choice) -> Generator[Progress, None, None]:
    """Write ``images/00000.png`` ... and ``masks/00000.png`` ... (0 and 255); the k-th depends on seed and k alone.

    StorageError where the folder holds something already or cannot be written.
    """
    try:
        if folder.exists() and any(folder.iterdir()):
            raise StorageError(f"{folder}: exists already and is not an empty folder; choose a new name")
        for name in ("images", "masks"):
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from error
    digits = max(5, len(str(count - 1)))
    for index in range(count):
        image, mask = ships.pair(np.random.default_rng((seed, index)), choice(index))
        name = f"{index:0{digits}d}.png"
        # Neither is synced: the same seed makes them again.
        write_atomically(folder / "images" / name, images.encode(ships.as_uint8(image)), durable=False)
        write_atomically(folder / "masks" / name, images.encode(mask * np.uint8(255)), durable=False)
        yield Progress("drawing", index + 1, count)
