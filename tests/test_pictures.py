"""What is decoded before it is asked for: the next image, and the prediction that belongs to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from sessions import FakeEngine, square, train, until

from labeler.files import prediction_paths
from labeler.inference import store
from labeler.project import Project
from labeler.records import Prediction
from labeler.ui.pictures import Pictures
from labeler.ui.session import Session


@pytest.fixture
def project(session: Session, qtbot: QtBot, tmp_path: Path) -> Project:
    return train(session, qtbot, tmp_path)


@pytest.fixture
def pictures(project: Project) -> Iterator[Pictures]:
    pictures = Pictures()
    pictures.open(project)
    yield pictures
    assert pictures.shut_down()


def waiting(session: Session) -> int:
    return next(int(image_id) for image_id in session.queue_ids() if image_id != session.current)


def test_prediction_of_the_next_image_is_read_with_it(
    session: Session, project: Project, pictures: Pictures, qtbot: QtBot
) -> None:
    image_id = waiting(session)
    assert pictures.prediction(image_id) is None
    pictures.prefetch([image_id])
    until(qtbot, lambda: pictures.prediction(image_id) is not None)
    stored = project.prediction(image_id)
    ahead = pictures.prediction(image_id)
    assert stored is not None
    assert ahead is not None
    for read, kept in zip(ahead, stored, strict=False):
        np.testing.assert_array_equal(read, kept)
        assert not read.flags.writeable


def test_prediction_that_was_replaced_meanwhile_is_not_shown(
    session: Session, project: Project, pictures: Pictures, qtbot: QtBot
) -> None:
    image_id = waiting(session)
    pictures.prefetch([image_id])
    until(qtbot, lambda: pictures.prediction(image_id) is not None)
    version = project.image(image_id).model_version
    assert version is not None
    fresh = np.ascontiguousarray(square()[::-1])
    answer = Prediction(fresh, fresh * np.uint8(200), 0.3, 0.3, 1.0, float(fresh.mean()))
    assert session.loop is not None
    session.loop.record([store(project.predictions_folder, image_id, version, answer)])
    assert pictures.prediction(image_id) is None
    pictures.prefetch([image_id])  # the image is kept, its prediction is read anew
    until(qtbot, lambda: pictures.prediction(image_id) is not None)
    ahead = pictures.prediction(image_id)
    assert ahead is not None
    np.testing.assert_array_equal(ahead[0], fresh)


def test_image_whose_prediction_is_lost_is_shown_all_the_same(
    session: Session, engine: FakeEngine, project: Project, pictures: Pictures, qtbot: QtBot
) -> None:
    image_id = waiting(session)
    for path in prediction_paths(project.predictions_folder, image_id, project.image(image_id).model_version or 0):
        path.unlink()
    with qtbot.waitSignal(pictures.loaded):
        pictures.show(image_id)
    assert pictures.prediction(image_id) is None
    session.show_image(image_id)
    until(qtbot, lambda: session.editor is not None and session.current == image_id)
