"""The series of the Progress panel, from the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labeler.project import Project
from labeler.records import ImageRecord, ImageState
from labeler.ui.plots import Curves

_DECIDED = (ImageState.ACCEPTED, ImageState.QUEUED, ImageState.LABELLED, ImageState.EXCLUDED)


def curves_of(project: Project, images: Sequence[ImageRecord]) -> Curves:
    """Share of the images seen that needed a person, core after each round, model versions."""
    decided = [image.state for image in images if image.state in _DECIDED]
    surfaced = np.cumsum([state is not ImageState.ACCEPTED for state in decided])
    streamed = np.arange(1, len(decided) + 1)
    return Curves(
        streamed=streamed.tolist(),
        surfaced=(surfaced / streamed).tolist(),
        core=[float(record.core_count) for record in project.rounds()],
        versions=project.versions(),
    )
