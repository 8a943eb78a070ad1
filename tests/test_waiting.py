"""The queue of a real project: seeds before the first model, the order of the settings after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from labeler import checkpoint, images, waiting
from labeler.checkpoint import Checkpoint
from labeler.headless import Forecaster
from labeler.loop import Loop
from labeler.networks import NetworkConfig, ResidualUNet
from labeler.project import Project
from labeler.records import ImageState, PredictionRecord
from labeler.settings import Settings
from labeler.stream import parse_source, scan

KINDS, EACH = 4, 6


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    """Four kinds of images, which a look tells apart; all are taken up, nothing is known of them yet."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(KINDS * EACH):
        level, contrast = (40, 90, 160, 220)[index % KINDS], (5, 60, 20, 30)[index % KINDS]
        pixels = np.clip(rng.normal(level, contrast, (32, 32)), 0, 255).astype(np.uint8)
        (folder / f"{index:02}.png").write_bytes(images.encode(pixels))
    settings = Settings(first_labels=4, holdout_every=5, base_width=2, device="cpu", threshold=1.0)
    with Project.create(tmp_path / "project", settings=settings) as project:
        project.add(list(scan(parse_source(str(folder)))))
        yield Loop(project)


def adopt(loop: Loop, folder: Path, *, seed: int) -> int:
    """A net with random weights becomes the champion."""
    torch.manual_seed(seed)
    path = folder / f"net{seed}.safetensors"
    checkpoint.save(path, Checkpoint.of(ResidualUNet(NetworkConfig(base_width=2)).eval()))
    return loop.adopt_model(path).version


def work(loop: Loop) -> int:
    """Do all that a lane would do now; how many images it has answered for."""
    steps = list(Forecaster(loop).predict_waiting())
    return steps[-1].done if steps else 0


def label(loop: Loop, image_id: int) -> None:
    loop.commit(image_id, np.zeros((32, 32), np.uint8))


def kind(loop: Loop, image_id: int) -> int:
    return int(loop.project.image(image_id).path.stem) % KINDS


def test_first_images_are_of_every_kind_once_they_were_looked_at(loop: Loop) -> None:
    by_lot = loop.waiting()
    assert by_lot == loop.waiting(order="random")
    work(loop)
    assert loop.looks_job() is None
    seeds = loop.waiting()
    assert {kind(loop, image_id) for image_id in seeds[:KINDS]} == set(range(KINDS))
    assert sorted(seeds) == sorted(by_lot)
    label(loop, seeds[0])
    assert loop.waiting()[: KINDS - 1] == seeds[1:KINDS], "a label changes nothing for the others"


def test_unreadable_image_is_set_apart_by_the_look(loop: Loop) -> None:
    loop.project.image(3).path.write_bytes(b"broken")
    work(loop)
    assert loop.project.image(3).state is ImageState.UNREADABLE
    assert 3 not in loop.waiting()


def test_champion_sees_the_core_too_so_that_the_queue_can_be_compared_with_it(loop: Loop, tmp_path: Path) -> None:
    for image_id in (1, 2):
        label(loop, image_id)
    version = adopt(loop, tmp_path, seed=1)
    work(loop)
    assert loop.project.image(1).state is ImageState.LABELLED
    assert (np.linalg.norm(loop.project.catalogue.embeddings.read(range(1, 25), version=version), axis=1) > 0.99).all()


def test_labelled_image_that_is_gone_stays_labelled_and_is_asked_for_once(loop: Loop, tmp_path: Path) -> None:
    label(loop, 1)
    loop.project.image(1).path.unlink()
    adopt(loop, tmp_path, seed=1)
    work(loop)
    assert loop.prediction_job() is None
    assert loop.project.image(1).state is ImageState.LABELLED


def test_twin_of_a_new_label_waits_until_there_is_another_model(loop: Loop, tmp_path: Path) -> None:
    adopt(loop, tmp_path, seed=1)
    work(loop)
    vectors = np.random.default_rng(0).standard_normal((KINDS * EACH + 1, 32)).astype(np.float32)
    vectors[2] = vectors[1]

    def see_again() -> None:
        champion = loop.project.champion()
        assert champion is not None
        records = [
            PredictionRecord(i, champion.version, 0.1 if i == 2 else 0.6, 1, 1, 0.5, "00" * 32, embedding=vectors[i])
            for i in range(1, KINDS * EACH + 1)
        ]
        loop.project.record_predictions(records, threshold=1.0)

    see_again()
    assert loop.waiting()[0] == 2, "it is the likeliest wrong"
    label(loop, 1)
    assert loop.waiting()[-1] == 2
    assert loop.waiting(order="confidence")[0] == 2
    loop.project.log("round_started", version=loop.project.next_version(), label_id=1, core=1, holdout=0)
    adopt(loop, tmp_path, seed=2)
    see_again()
    assert loop.waiting()[-1] != 2


def test_masks_of_two_models_are_compared_where_both_are(loop: Loop, tmp_path: Path) -> None:
    adopt(loop, tmp_path, seed=1)
    work(loop)
    assert all("kept" not in record.signals for record in loop.project.images())
    before = {record.image_id: loop.project.prediction(record.image_id) for record in loop.project.images()}
    adopt(loop, tmp_path, seed=2)
    work(loop)
    agreements = []
    for record in loop.project.images():
        old, new = before[record.image_id], loop.project.prediction(record.image_id)
        assert old is not None
        assert new is not None
        both, either = np.sum((old[0] > 0) & (new[0] > 0)), np.sum((old[0] > 0) | (new[0] > 0))
        agreements.append(both / either if either else 1.0)
        assert record.signals["kept"] == pytest.approx(agreements[-1], abs=1e-5)
    first = loop.project.image(loop.waiting(order="disagreement")[0])
    assert first.signals["kept"] == pytest.approx(min(agreements), abs=1e-5)


def test_order_of_the_settings_is_used(loop: Loop, tmp_path: Path) -> None:
    adopt(loop, tmp_path, seed=1)
    work(loop)
    for name in ("streamed", "random", "margin", "coreset"):
        loop.project.save_settings(loop.project.settings.model_copy(update={"acquisition": name}))
        assert loop.waiting() == loop.waiting(order=name)
        assert [record.image_id for record in loop.queue(limit=3)] == loop.waiting(order=name)[:3]
        assert loop.next_query() == loop.waiting()[0]


def test_front_of_a_long_queue_is_the_front_of_all_of_it(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "CONSIDERED", 8)
    adopt(loop, tmp_path, seed=1)
    work(loop)
    loop.skip(loop.waiting()[0])
    for name in ("informative", "coreset", "confidence"):
        whole = loop.waiting(order=name)
        assert sorted(whole) == list(range(1, KINDS * EACH + 1))
        loop.project.log("something")  # so that the order is worked out again
        assert loop.waiting(order=name, limit=5) == whole[:5]
    assert loop.project.image(loop.waiting()[-1]).skips == 1


def test_order_is_worked_out_again_only_after_a_change(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt(loop, tmp_path, seed=1)
    work(loop)
    asked = []
    real = loop.project.catalogue.candidates.columns
    monkeypatch.setattr(
        loop.project.catalogue.candidates,
        "columns",
        lambda *a, **k: asked.append(1) or real(*a, **k),  # type: ignore[func-returns-value]
    )
    first = loop.waiting()
    assert loop.waiting(limit=3) == first[:3]
    assert loop.next_query() == first[0]
    assert len(asked) == 1
    label(loop, first[0])
    assert first[0] not in loop.waiting()
    assert len(asked) == 2
