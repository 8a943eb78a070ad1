"""What images look like to a model version: one vector an image, read in bulk and apart from the records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from labeler.database import Database
from labeler.records import PredictionRecord


class Embeddings:
    """The table of embeddings; only vectors of one model version can be compared."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, records: Iterable[PredictionRecord]) -> None:
        """Keep the embeddings of predictions, inside the caller's transaction; of each image the newest stays."""
        self._database.write_many(
            "INSERT OR REPLACE INTO embeddings (image_id, model_version, vector) VALUES (?, ?, ?)",
            (
                (record.image_id, record.model_version, record.embedding.astype(np.float16).tobytes())
                for record in records
                if record.embedding is not None
            ),
        )

    def read(self, image_ids: Sequence[int], *, version: int | None) -> NDArray[np.float32]:
        """Vectors (N, D) of length 1, in the order given; zeros where an image has none by ``version``.

        (N, 0) where no image has one.
        """
        rows = self._database.rows("SELECT image_id, vector FROM embeddings WHERE model_version IS ?", (version,))
        if not rows:
            return np.zeros((len(image_ids), 0), np.float32)
        place = dict.fromkeys(image_ids, -1)
        kept = [(image_id, vector) for image_id, vector in rows if image_id in place]
        if not kept:
            return np.zeros((len(image_ids), 0), np.float32)
        place.update((image_id, index) for index, (image_id, _) in enumerate(kept))
        stored = np.frombuffer(b"".join(vector for _, vector in kept), np.float16).reshape(len(kept), -1)
        table = np.concatenate([stored.astype(np.float32), np.zeros((1, stored.shape[1]), np.float32)])
        return table[[place[image_id] for image_id in image_ids]]
