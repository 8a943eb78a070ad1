"""What the lists sort and filter by."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from fakes import brief_of, image_record
from sessions import make_images

from labeler.inference import store
from labeler.project import Project
from labeler.records import Brief, ImageRecord, ImageState, LabelOrigin, Prediction, Split
from labeler.settings import Settings
from labeler.stream import parse_source, scan
from labeler.ui.columns import Columns, Filter, Order

DAY_S = 86_400


def columns_of(*records: object) -> Columns:
    return Columns(brief_of(record) for record in records)


def ids(columns: Columns, wanted: Filter = Filter(), order: Order = Order.STREAM) -> list[int]:  # noqa: B008 - frozen
    return columns.select(wanted, order).tolist()


def test_orders() -> None:
    columns = columns_of(image_record(1), image_record(2, confidence=0.1), image_record(3, ImageState.POOL))

    assert ids(columns, order=Order.UNSURE_FIRST) == [2, 1, 3]
    assert ids(columns, order=Order.SURE_FIRST) == [1, 2, 3]
    assert ids(columns, order=Order.STATE) == [3, 1, 2]
    assert ids(columns, order=Order.NAME) == [1, 2, 3]


def brief(image_id: int, **changes: object) -> Brief:
    return brief_of(image_record(image_id))._replace(**changes)


def test_a_round_redraws_only_masks_that_are_no_persons() -> None:
    columns = Columns(
        [
            brief(1, state="queued", version=3, kept=0.4),
            brief(2, state="accepted", version=3, kept=0.4),
            brief(3, state="labelled", version=3, kept=0.4),  # of the core: predicted again to be compared
            brief(4, state="accepted", version=3, kept=0.99),
            brief(5, state="accepted", version=2, kept=0.4),
            brief(6, state="queued", version=3, kept=None),  # the first prediction of its image
        ]
    )

    assert columns.redrawn(3).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("wanted", "passing"),
    [
        (Filter(), [1, 2, 3]),
        (Filter(text="ÜBER"), [2]),
        (Filter(state=ImageState.LABELLED), [3]),
        (Filter(version=2), [2]),
        (Filter(confidence=(0.9, 1.0)), [1]),
        (Filter(confidence=(0.0, 0.5)), [2]),
        (Filter(class_value=2), [1]),
        (Filter(class_value=0), [3]),
        (Filter(iou_below=0.8), [3]),
        (Filter(days=7), [2]),
        (Filter(only=frozenset({1, 3, 99})), [1, 3]),
        (Filter(only=frozenset()), []),
    ],
)
def test_filters(wanted: Filter, passing: list[int]) -> None:
    now = time.time()
    columns = Columns(
        [
            brief(1, name="a.png", confidence=0.9, version=1, classes=0b11, date=now - 90 * DAY_S),
            brief(2, name="über.png", confidence=0.2, version=2, classes=0b01, date=now - DAY_S),
            brief(3, name="c.png", confidence=None, state="labelled", classes=0, iou=0.5, date=now - 9 * DAY_S),
        ]
    )

    assert ids(columns, wanted) == passing


def test_worst_predicted_come_first_and_what_has_no_label_last() -> None:
    columns = Columns([brief(1), brief(2, iou=0.9), brief(3, iou=0.2)])

    assert ids(columns, order=Order.WORST_FIRST) == [3, 2, 1]


def test_rows_are_changed_and_added_in_any_order() -> None:
    columns = Columns([brief(5), brief(9)])

    columns.update([brief(12), brief(7), brief(9, state="accepted")])

    assert columns.ids.tolist() == [5, 7, 9, 12]
    assert columns.ids[columns.are(ImageState.ACCEPTED)].tolist() == [9]
    assert ids(columns, Filter(text="0007")) == [7]


def test_many_rows_grow_like_one() -> None:
    grown = Columns()
    for first in range(0, 5000, 700):
        grown.update(brief(number) for number in range(first, min(first + 700, 5000)))

    assert grown.ids.tolist() == list(range(5000))
    assert ids(grown, Filter(text="4321")) == [4321]


def _lot(record: ImageRecord) -> tuple[int, str]:
    return record.skips, record.sha256


def test_queue_has_the_order_of_the_loop(tmp_path: Path) -> None:
    folder = make_images(tmp_path / "images", 12)
    with Project.create(tmp_path / "project", sources=[str(folder)]) as project:
        project.add(list(scan(parse_source(str(folder)))))
        project.skip(4)
        columns = Columns(project.briefs(limit=100))

        lots = [record.image_id for record in sorted(project.images(), key=_lot)]
        assert columns.queue(cold=True).tolist() == lots


def test_briefs_tell_what_the_records_tell(tmp_path: Path) -> None:
    folder = make_images(tmp_path / "images", 3)
    with Project.create(tmp_path / "project", sources=[str(folder)]) as project:
        project.add(list(scan(parse_source(str(folder)))))
        mask = np.ones((48, 48), np.uint8)
        project.commit_label(2, mask, origin=LabelOrigin.CORRECTED, split=Split.CORE)

        first, second, _ = project.briefs(limit=10)
        records = {record.image_id: record for record in project.images()}

        assert (first.name, first.state) == (records[1].path.name, records[1].state.value)
        assert (second.state, second.classes) == ("labelled", 1)
        assert abs(second.date - time.time()) < 60
        assert abs(first.date - records[1].path.stat().st_mtime) < 1
        assert project.briefs_of({2, 77}) == [second]


def test_predicted_classes_are_those_of_the_mask(tmp_path: Path) -> None:
    folder = make_images(tmp_path / "images", 2)
    settings = Settings(classes=("cell", "nucleus", "debris"))
    with Project.create(tmp_path / "project", settings=settings, sources=[str(folder)]) as project:
        project.add(list(scan(parse_source(str(folder)))))
        answers = []
        for image_id, values in ((1, (1, 3)), (2, ())):
            mask = np.zeros((48, 48), np.uint8)
            for value in values:
                mask[value * 8 : value * 8 + 4] = value
            answer = Prediction(mask, (mask > 0).astype(np.uint8) * 200, 0.5, 0.5, 1.0, float((mask > 0).mean()))
            answers.append(store(project.predictions_folder, image_id, 1, answer))
        project.record_predictions(answers, threshold=0.8)
        columns = Columns(project.briefs(limit=10))

        assert [columns.select(Filter(class_value=value)).tolist() for value in range(4)] == [[2], [1], [], [1]]
