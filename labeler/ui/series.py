"""The series of the Progress panel, from the catalogue."""

from __future__ import annotations

import numpy as np

from labeler.project import Project
from labeler.records import ImageState
from labeler.ui.columns import Columns
from labeler.ui.plots import Curves

_DECIDED = (ImageState.ACCEPTED, ImageState.QUEUED, ImageState.LABELLED, ImageState.EXCLUDED)


def curves_of(project: Project, images: Columns) -> Curves:
    """Share of the images seen that needed a person, core after each round, model versions."""
    needed = ~images.are(ImageState.ACCEPTED)[images.are(*_DECIDED)]
    streamed = np.arange(1, len(needed) + 1)
    return Curves(
        streamed=streamed,
        surfaced=np.cumsum(needed) / streamed,
        core=[float(record.core_count) for record in project.rounds()],
        versions=project.versions(),
    )
