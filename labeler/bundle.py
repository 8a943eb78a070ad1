"""What goes with a model's weights so that its confidence means something: calibrator, threshold, core vectors."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from labeler.calibration import Calibrator
from labeler.records import Embedding

MOST_VECTORS = 512  # of the core; more make no image nearer that matters


@dataclass(frozen=True, slots=True)
class Bundle:
    """``core`` (n, D) float32 unit vectors of core images as this version sees them, n may be 0.

    ``calibrator`` is None below 30 holdout pairs: not calibrated yet. ``threshold`` is the one that was in force when
    the version was made.
    """

    calibrator: Calibrator | None
    threshold: float
    core: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32), compare=False)

    def distances(self, embeddings: Sequence[Embedding | None]) -> list[float]:
        """1 - largest cosine with an image of the core, 0..2; nan where it cannot be known."""
        return [self._distance(embedding) for embedding in embeddings]

    def _distance(self, embedding: Embedding | None) -> float:
        if embedding is None or not len(self.core) or self.core.shape[1] != len(embedding):
            return float("nan")
        return float(max(0.0, 1 - (self.core @ embedding).max()))

    def to_text(self) -> str:
        """JSON, for the row of the version."""
        vectors = base64.b64encode(self.core.astype(np.float16).tobytes()).decode()
        calibrator = None if self.calibrator is None else self.calibrator.to_json()
        values = {"calibrator": calibrator, "threshold": self.threshold, "width": self.core.shape[1], "core": vectors}
        return json.dumps(values, allow_nan=False, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Bundle:
        """The bundle that ``to_text`` was asked of; ValueError where it is none."""
        try:
            values = json.loads(text)
            width, raw = int(values["width"]), base64.b64decode(values["core"], validate=True)
            stored = np.frombuffer(raw, np.float16)
            core = stored.reshape(-1, width) if width > 0 else np.zeros((0, 0), np.float16)
            calibrator = values["calibrator"]
            return cls(
                None if calibrator is None else Calibrator.from_json(calibrator),
                float(values["threshold"]),
                core.astype(np.float32),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"no bundle: {error!r}") from error
