"""The series of the Progress panel, from the catalogue."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from labeler.project import Project
from labeler.records import ImageState
from labeler.ui.columns import Columns
from labeler.ui.plots import Curves

_DECIDED = (ImageState.ACCEPTED, ImageState.QUEUED, ImageState.LABELLED, ImageState.EXCLUDED)


def new_in_round(project: Project, number: int) -> frozenset[int]:
    """Images whose label came after the round before and in time for this one, the first of which is 1.

    An image that was labelled again later belongs to that later round.
    """
    begun = [datetime.fromisoformat(record.started) for record in project.rounds()[:number]]
    before, then = (begun[-2] if number > 1 else None), begun[-1]
    made = ((label.image_id, datetime.fromisoformat(label.created)) for label in project.labels())
    return frozenset(image_id for image_id, at in made if at <= then and (before is None or at > before))


def curves_of(project: Project, images: Columns) -> Curves:
    """Share of the images seen that needed a person, core after each round, model versions, seconds of each label."""
    decided = images.are(*_DECIDED)
    needed = ~images.are(ImageState.ACCEPTED)[decided]
    streamed = np.arange(1, len(needed) + 1)
    return Curves(
        streamed=streamed,
        surfaced=np.cumsum(needed) / streamed,
        seen=images.ids[decided],
        core=[float(record.core_count) for record in project.rounds()],
        versions=project.versions(),
        times=[(label.image_id, label.seconds) for label in project.labels()],
    )
