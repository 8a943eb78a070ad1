"""The second look: orientations, the grey zone, what the version before said, and the bundle that goes with a model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from labeler import checkpoint, images
from labeler.appearance import appearance
from labeler.bundle import Bundle
from labeler.calibration import Figures, Pair, fit_calibrator
from labeler.cascade import compared, holdout_pair, looked_at
from labeler.checkpoint import Checkpoint
from labeler.driving import drain
from labeler.files import sha256_of_file
from labeler.inference import JobImage, PredictionJob, Predictor, predict_files
from labeler.metrics import mean_iou
from labeler.networks import NetworkConfig, ResidualUNet
from labeler.records import Elder, PredictionRecord
from labeler.views import VIEWS, GreyZone, agreement, disagreement, doubtful_place, joined, support, unwarped, warped


@pytest.fixture
def predictor() -> Predictor:
    torch.manual_seed(0)
    return Predictor(ResidualUNet(NetworkConfig(base_width=2)), version=3, device="cpu")


def _image(seed: int, shape: tuple[int, int] = (32, 48)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


@pytest.mark.parametrize("view", VIEWS)
def test_every_orientation_comes_back(view: tuple[int, bool]) -> None:
    image = _image(0)
    assert np.array_equal(unwarped(warped(image, view)[..., 0], view), image[..., 0])


def test_orientations_are_all_different() -> None:
    seen = {warped(_image(0, (32, 32)), view).tobytes() for view in VIEWS}
    assert len(seen) == 8


@pytest.mark.parametrize("classes", [1, 2])
def test_agreement_is_the_pairwise_iou(classes: int) -> None:
    rng = np.random.default_rng(classes)
    masks = [rng.integers(0, classes + 1, (9, 7)).astype(np.uint8) for _ in range(4)]
    pairs = [mean_iou(masks[i], masks[j], classes=classes) for i in range(4) for j in range(i)]
    assert agreement(masks, classes=classes) == pytest.approx((np.mean(pairs), min(pairs)))


def test_empty_masks_agree() -> None:
    empty, full = np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)
    assert agreement([empty, empty]) == (1.0, 1.0)
    assert agreement([empty, full])[1] == 0.0


def test_heat_is_where_views_disagree() -> None:
    one, two = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    two[0, 0] = 255
    heat = disagreement([one, two])
    assert heat[0, 0] == 255
    assert heat.sum() == 255


def test_grey_zone_keeps_to_its_share_and_takes_the_nearest() -> None:
    rng, zone = np.random.default_rng(0), GreyZone(threshold=0.8, share=0.2)
    spent = seen = 0
    for size in (1, 1, 1, 7, 32, 32, 1, 32):
        confidences = rng.random(size)
        chosen = zone.choose(list(confidences))
        spent, seen = spent + len(chosen), seen + size
        assert spent <= 0.2 * seen + 1
        others = [index for index in range(size) if index not in chosen]
        if chosen and others:
            nearest = min(abs(confidences[index] - 0.8) for index in others)
            assert max(abs(confidences[index] - 0.8) for index in chosen) <= nearest
    assert spent >= 0.1 * seen


def test_share_of_zero_looks_once(predictor: Predictor) -> None:
    assert GreyZone(threshold=0.8, share=0.0).choose([0.8, 0.8]) == []


def test_second_look_adds_signals_to_the_chosen_only(predictor: Predictor) -> None:
    batch = [_image(seed) for seed in range(5)]
    found = zip(predictor.predict(batch), (0.1, 0.99, 0.8, 0.5, 0.2), strict=True)
    plain = [replace(prediction, soft_iou=confidence, stability=1.0) for prediction, confidence in found]
    zone = GreyZone(threshold=0.8, share=0.2)
    seen = looked_at(predictor, batch, plain, zone, None)
    chosen = [index for index, prediction in enumerate(seen) if "view_iou_min" in prediction.signals]
    assert chosen == [2]
    signals = seen[2].signals
    assert 0 <= signals["view_iou_min"] <= signals["view_iou_mean"] <= 1
    assert all(np.array_equal(seen[index].mask, plain[index].mask) for index in (0, 1, 3, 4))
    planes = [(plain[2].mask, plain[2].probability), *predictor.views([batch[2]])[0]]
    mean = np.mean([probability.astype(float) for _, probability in planes], axis=0)
    assert np.array_equal(seen[2].probability, np.floor(mean))
    assert np.array_equal(seen[2].mask > 0, seen[2].probability >= 128)
    assert seen[2].foreground == pytest.approx((seen[2].mask > 0).mean())


def test_joined_looks_take_the_mean_and_the_commonest_class() -> None:
    masks = [np.array([[2, 0, 1]]), np.array([[1, 0, 1]]), np.array([[2, 3, 0]])]
    probabilities = [np.array([[200, 0, 255]]), np.array([[200, 100, 255]]), np.array([[200, 255, 0]])]
    mask, probability = joined(
        [plane.astype(np.uint8) for plane in masks],
        [plane.astype(np.uint8) for plane in probabilities],
        classes=3,
    )
    assert probability.tolist() == [[200, 118, 170]]
    assert mask.tolist() == [[2, 0, 1]]


def test_views_are_the_predictions_of_the_turned_image(predictor: Predictor) -> None:
    image = _image(4)
    for view, (mask, _) in zip(VIEWS[1:], predictor.views([image])[0], strict=False):
        assert np.array_equal(mask, unwarped(predictor.predict([warped(image, view)])[0].mask, view))
    heat = drain(predictor.heat(image))
    assert heat.shape == image.shape[:2]
    assert heat.max() > 0


def test_previous_mask_and_core_are_compared_for_nothing(predictor: Predictor) -> None:
    (prediction,) = predictor.predict([_image(0)])
    assert prediction.embedding is not None
    bundle = Bundle(None, 0.8, prediction.embedding[None], appearance(_image(0))[None])
    (same,) = compared([_image(0)], [prediction], [prediction.mask], bundle, 1)
    assert same.signals["kept"] == 1.0
    assert same.signals["core_distance"] == pytest.approx(0.0, abs=1e-5)
    assert same.signals["look_distance"] == pytest.approx(0.0, abs=1e-5)
    (other,) = compared([np.full_like(_image(0), 200)], [prediction], [None], bundle, 1)
    assert other.signals["look_distance"] > 0.1
    (alone,) = compared([_image(0)], [prediction], [None], None, 1)
    assert set(alone.signals) - set(prediction.signals) == {"unexplained"}


def test_looks_bear_out_each_component_alike() -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[1:11, 1:11] = 1  # large, in all looks
    mask[15:17, 20:22] = 2  # small, of another class, in half of them
    without = mask.copy()
    without[15:17] = 0
    planes = [np.where(plane > 0, 255, 0).astype(np.uint8) for plane in (mask, without)]
    parts, soft = support(mask, [mask, without], planes)
    assert parts == pytest.approx((1 + 0.5) / 2)
    assert soft == pytest.approx((100 + 2) / 104, abs=0.01)
    assert support(np.zeros_like(mask), [without], planes)[0] == 1.0
    assert support(np.zeros_like(mask), [without], planes)[1] == pytest.approx(0, abs=0.01)


def test_place_of_doubt_is_where_masks_differ() -> None:
    one, two = np.zeros((10, 20), np.uint8), np.zeros((10, 20), np.uint8)
    assert doubtful_place([one, two]) is None
    two[9, 0:2] = 1
    assert doubtful_place([one, two]) == pytest.approx((1 / 20, 0.95))


def test_job_compares_with_the_stored_mask_of_the_version_before(tmp_path: Path) -> None:
    jobs = []
    for version in (1, 2):
        torch.manual_seed(version)
        model = tmp_path / f"{version}.safetensors"
        checkpoint.save(model, Checkpoint.of(ResidualUNet(NetworkConfig(base_width=2))))
        path = tmp_path / "a.png"
        path.write_bytes(images.encode(_image(0)))
        item = JobImage(1, path, sha256_of_file(path), before=1)
        jobs.append(PredictionJob((item,), tmp_path / "predictions", model, version, grey_share=0.5, threshold=0.5))
    found = [result for job in jobs for step in predict_files(job) for result in step]
    assert all(isinstance(record, PredictionRecord) for record in found)
    first, second = (record.signals for record in found if isinstance(record, PredictionRecord))
    assert "kept" not in first
    assert 0 <= second["kept"] <= 1
    assert "view_iou_mean" in second


def _models(tmp_path: Path, count: int) -> list[Elder]:
    found = []
    for version in range(1, count + 1):
        torch.manual_seed(version)
        path = tmp_path / f"{version}.safetensors"
        digest = checkpoint.save(path, Checkpoint.of(ResidualUNet(NetworkConfig(base_width=2))))
        found.append(Elder(version, path, digest))
    return found


def _asked_of_elders(tmp_path: Path, elders: list[Elder], *, fast: bool = False) -> dict[str, float]:
    """Signals of a fresh image that the last of the models predicts, with the others before it."""
    path = tmp_path / "fresh.png"
    path.write_bytes(images.encode(_image(0)))
    *before, new = elders
    job = PredictionJob(
        (JobImage(1, path, sha256_of_file(path)),),
        tmp_path / "predictions",
        new.path,
        new.version,
        new.sha256,
        device="cpu",
        grey_share=1.0,
        threshold=0.5,
        elders=tuple(reversed(before)),
    )
    predictor = (FastPredictor if fast else Predictor).load(new.path, version=new.version, device="cpu")
    ((record,),) = predict_files(job, predictor)
    assert isinstance(record, PredictionRecord)
    return record.signals


class FastPredictor(Predictor):
    """What a GPU does, on a processor."""

    is_fast = True


def _plain_iou(one: Elder, other: Elder) -> float:
    masks_of = [Predictor.load(elder.path, device="cpu").predict([_image(0)])[0].mask for elder in (one, other)]
    return mean_iou(*masks_of)


def test_fresh_image_of_the_grey_zone_is_shown_to_the_version_before(tmp_path: Path) -> None:
    models = _models(tmp_path, 3)
    assert _asked_of_elders(tmp_path, models)["kept"] == pytest.approx(_plain_iou(models[2], models[1]))
    models[1].path.write_bytes(b"damaged")
    assert _asked_of_elders(tmp_path, models)["kept"] == pytest.approx(_plain_iou(models[2], models[0]))
    models[0].path.unlink()
    assert "kept" not in _asked_of_elders(tmp_path, models)


def test_gpu_asks_eight_views_and_the_snapshots_of_all_images(tmp_path: Path) -> None:
    models = _models(tmp_path, 3)
    ious = [_plain_iou(models[2], elder) for elder in models[:2]]
    assert _asked_of_elders(tmp_path, models, fast=True)["kept"] == pytest.approx(min(ious))
    predictor = FastPredictor.load(models[2].path, device="cpu")
    assert len(predictor.views([_image(0)])[0]) == len(VIEWS) - 1
    assert predictor.grey_zone(threshold=0.5, share=0.1).choose([0.1, 0.5, 0.9]) == [1, 0, 2]


def test_accepted_mask_that_stands_is_not_looked_at_again(tmp_path: Path) -> None:
    model, path = tmp_path / "1.safetensors", tmp_path / "a.png"
    checkpoint.save(model, Checkpoint.of(ResidualUNet(NetworkConfig(base_width=2))))
    path.write_bytes(images.encode(_image(0)))
    digest, looks = sha256_of_file(path), []
    for version, accepted in ((1, False), (2, True), (3, False)):
        item = JobImage(1, path, digest, before=version - 1, accepted=accepted)
        job = PredictionJob((item,), tmp_path / "predictions", model, version, grey_share=1.0, threshold=0.5)
        (record,) = (record for step in predict_files(job) for record in step)
        assert isinstance(record, PredictionRecord)
        looks.append("view_iou_min" in record.signals)
    assert looks == [True, False, True]


def test_share_of_second_looks_holds_over_jobs(tmp_path: Path, predictor: Predictor) -> None:
    looks = 0
    for seed in range(10):
        path = tmp_path / f"{seed}.png"
        path.write_bytes(images.encode(_image(seed)))
        item = JobImage(seed, path, sha256_of_file(path))
        job = PredictionJob((item,), tmp_path / "predictions", tmp_path, 3, grey_share=0.2, threshold=0.5)
        records = [record for step in predict_files(job, predictor) for record in step]
        looks += sum(isinstance(record, PredictionRecord) and "view_iou_min" in record.signals for record in records)
    assert 1 <= looks <= 3


def test_bundle_survives_text(predictor: Predictor) -> None:
    mask = np.zeros((32, 48), np.uint8)
    mask[4:20, 4:30] = 1
    (prediction,) = predictor.predict([_image(0)])
    bundle = Bundle(None, 0.8, np.stack([prediction.embedding] * 2))
    pair = holdout_pair(predictor, _image(0), mask, prediction, previous=mask, bundle=bundle, seen=0.5)
    assert pair.iou == mean_iou(prediction.mask, mask)
    assert pair.figures.has_views
    calibrator = fit_calibrator([pair] * 40, below=0.8)
    full = Bundle(calibrator, 0.9, bundle.core, appearance(_image(0))[None])
    again = Bundle.from_text(full.to_text())
    assert again == full
    assert np.allclose(again.core, full.core, atol=1e-3)
    assert again.look_distances([appearance(_image(0))])[0] == pytest.approx(0, abs=1e-3)
    assert np.isnan(bundle.look_distances([appearance(_image(0))])[0])
    assert again.distances([prediction.embedding, None])[0] == pytest.approx(0, abs=1e-3)
    assert Bundle.from_text(Bundle(None, 0.5).to_text()).calibrator is None


def test_damaged_bundle_is_refused() -> None:
    good = json.loads(Bundle(None, 0.5, np.ones((2, 4), np.float32)).to_text())
    for change in ({"core": "@@"}, {"width": 3}, {"threshold": None}, {"calibrator": {"format": 9}}):
        with pytest.raises(ValueError, match=r"."):
            Bundle.from_text(json.dumps({**good, **change}))


def test_figures_of_an_empty_prediction_have_no_views_to_ask() -> None:
    assert not Figures(0.9, 1.0, 0.0, {}).has_views
    assert Pair(Figures(0.9, 1.0, 0.0, {}), 1.0).seen == 1.0
