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
    """``core`` (n, D) float32 unit vectors of core images as this version sees them, ``looks`` (n, D') what they look
    like without a model (see ``appearance``); n may be 0.

    ``calibrator`` is None below 30 holdout pairs: not calibrated yet. ``threshold`` is the one that was in force when
    the version was made.
    """

    calibrator: Calibrator | None
    threshold: float
    core: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32), compare=False)
    looks: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32), compare=False)

    def distances(self, embeddings: Sequence[Embedding | None]) -> list[float]:
        """1 - largest cosine with an image of the core, 0..2; nan where it cannot be known."""
        return [_distance(self.core, embedding) for embedding in embeddings]

    def look_distances(self, looks: Sequence[Embedding]) -> list[float]:
        """The same of what images look like without a model."""
        return [_distance(self.looks, look) for look in looks]

    def to_text(self) -> str:
        """JSON, for the row of the version."""
        calibrator = None if self.calibrator is None else self.calibrator.to_json()
        values = {
            "calibrator": calibrator,
            "threshold": self.threshold,
            "width": self.core.shape[1],
            "core": _text_of(self.core),
            "looks_width": self.looks.shape[1],
            "looks": _text_of(self.looks),
        }
        return json.dumps(values, allow_nan=False, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Bundle:
        """The bundle that ``to_text`` was asked of; ValueError where it is none."""
        try:
            values = json.loads(text)
            calibrator = values["calibrator"]
            return cls(
                None if calibrator is None else Calibrator.from_json(calibrator),
                float(values["threshold"]),
                _vectors(values["core"], int(values["width"])),
                _vectors(values.get("looks", ""), int(values.get("looks_width", 0))),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"no bundle: {error!r}") from error


def _distance(known: NDArray[np.float32], vector: Embedding | None) -> float:
    if vector is None or not len(known) or known.shape[1] != len(vector):
        return float("nan")
    return float(max(0.0, 1 - (known @ vector).max()))


def _text_of(vectors: NDArray[np.float32]) -> str:
    return base64.b64encode(vectors.astype(np.float16).tobytes()).decode()


def _vectors(text: str, width: int) -> NDArray[np.float32]:
    stored = np.frombuffer(base64.b64decode(text, validate=True), np.float16)
    return (stored.reshape(-1, width) if width > 0 else np.zeros((0, 0), np.float16)).astype(np.float32)
