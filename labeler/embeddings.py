"""What images look like to a model version: one vector an image, read in bulk and apart from the records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from labeler.database import Database
from labeler.records import Embedding, PredictionRecord


class Embeddings:
    """The table of embeddings; only vectors of one model version can be compared."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_looks(self, looks: Iterable[tuple[int, Embedding]]) -> None:
        """Keep (image id, vector) from before any model; an embedding by a model is not replaced."""
        with self._database.transaction(durable=False):
            self._database.write_many(
                "INSERT OR IGNORE INTO embeddings (image_id, vector) VALUES (?, ?)",
                ((image_id, vector.astype(np.float16).tobytes()) for image_id, vector in looks),
            )

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
        rows = self._database.rows(
            "SELECT wanted.key, e.vector FROM json_each(?) wanted JOIN embeddings e ON e.image_id = wanted.value "
            "WHERE e.model_version IS ?",
            (json.dumps(list(image_ids)), version),
        )
        if not rows:
            return np.zeros((len(image_ids), 0), np.float32)
        stored = np.frombuffer(b"".join(vector for _, vector in rows), np.float16).reshape(len(rows), -1)
        vectors = np.zeros((len(image_ids), stored.shape[1]), np.float32)
        vectors[[place for place, _ in rows]] = stored
        return vectors
