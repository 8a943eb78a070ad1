"""Prediction of images of any size, and of the files of a project."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from labeler import checkpoint, files, images, inference, masks
from labeler.checkpoint import Checkpoint
from labeler.errors import CheckpointError
from labeler.files import sha256_of_file
from labeler.inference import FailedImage, JobImage, PredictionJob, Predictor, predict_files, tiles
from labeler.networks import NetworkConfig, ResidualUNet
from labeler.records import PredictionRecord


@pytest.fixture
def network() -> ResidualUNet:
    torch.manual_seed(3)
    return ResidualUNet(NetworkConfig(base_width=2)).eval()


@pytest.fixture
def predictor(network: ResidualUNet) -> Predictor:
    return Predictor(network, version=7, device="cpu")


def _images(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]


def test_a_batch_of_mixed_sizes_and_channels_keeps_its_order(predictor: Predictor) -> None:
    batch = _images((40, 50), (16, 16, 3), (40, 50, 3), (1, 1), (33, 7))
    together = predictor.predict(batch)
    for image, prediction in zip(batch, together, strict=True):
        alone = predictor.predict([image])[0]
        assert prediction.mask.shape == prediction.probability.shape == image.shape[:2]
        assert prediction.confidence == pytest.approx(alone.confidence, abs=0.02)
        assert np.mean(prediction.mask != alone.mask) < 0.01
    assert predictor.predict([]) == []


def test_sixteen_bit_images_are_predicted_like_their_eight_bit_copies(predictor: Predictor) -> None:
    (small,) = _images((48, 48))
    pair = predictor.predict([small, small.astype(np.uint16) * 257])
    assert np.array_equal(pair[0].probability, pair[1].probability)


@pytest.mark.parametrize("size", [(768, 768), (769, 100), (2000, 900), (5000, 3)])
def test_tiles_cover_every_pixel_and_overlap(size: tuple[int, int]) -> None:
    covered = np.zeros(size, int)
    for top, left in tiles(*size):
        covered[top : top + inference.TILE, left : left + inference.TILE] += 1
    assert covered.min() == 1
    for axis, side in enumerate(size):
        starts = sorted({corner[axis] for corner in tiles(*size)})
        assert starts[-1] + inference.TILE >= side
        assert all(b - a <= inference.TILE - inference.OVERLAP for a, b in pairwise(starts))


def test_large_image_in_tiles_agrees_with_the_whole(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    (image,) = _images((300, 420, 3))
    whole = predictor.predict([image])[0]
    monkeypatch.setattr(inference, "LARGEST", 1)
    monkeypatch.setattr(inference, "TILE", 256)
    tiled = predictor.predict([image])[0]
    assert tiled.embedding is not None
    assert tiled.embedding @ whole.embedding > 0.98
    assert tiled.mask.shape == (300, 420)
    difference = np.abs(tiled.probability.astype(int) - whole.probability.astype(int))
    assert np.percentile(difference, 99) <= 6


def test_embedding_has_length_one_and_tells_images_apart(predictor: Predictor) -> None:
    flat, noise = np.full((48, 48), 90, np.uint8), _images((48, 48))[0]
    again, other = predictor.predict([noise, flat])
    large = predictor.predict([noise])[0]
    assert again.embedding is not None
    assert other.embedding is not None
    assert large.embedding is not None
    assert again.embedding.shape == (32,)
    assert np.linalg.norm(again.embedding) == pytest.approx(1, abs=1e-4)
    assert again.embedding @ large.embedding > 0.999 > again.embedding @ other.embedding


def test_batch_that_does_not_fit_is_halved(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    real, sizes = predictor._network, []

    class Hungry:
        def with_features(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            sizes.append(len(x))
            if len(x) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return real.with_features(x)

    monkeypatch.setattr(predictor, "_network", Hungry())
    found = predictor.predict(_images(*[(32, 32)] * 5))
    assert len({prediction.embedding.tobytes() for prediction in found if prediction.embedding is not None}) == 5
    assert sizes[0] == 5
    assert max(size for size in sizes if size != 5) <= 3


def test_job_writes_masks_that_match_their_records_and_sets_bad_files_apart(
    network: ResidualUNet, tmp_path: Path
) -> None:
    model = tmp_path / "0007.safetensors"
    digest = checkpoint.save(model, Checkpoint.of(network))
    items = []
    for index, image in enumerate(_images((30, 40), (30, 40, 3), (64, 64), (20, 20))):
        path = tmp_path / f"{index}.png"
        path.write_bytes(images.encode(image))
        items.append(JobImage(index, path, sha256_of_file(path)))
    items[2].path.write_bytes(b"broken")
    items[3].path.unlink()
    job = PredictionJob(tuple(items), tmp_path / "predictions", model, 7, digest, "cpu")
    results = [result for step in predict_files(job) for result in step]
    records = {result.image_id: result for result in results if isinstance(result, PredictionRecord)}
    failed = {result.image_id: result for result in results if isinstance(result, FailedImage)}
    assert set(records) == {0, 1}
    assert set(failed) == {2, 3}
    assert "2.png" in failed[2].reason
    for image_id, record in records.items():
        mask_path, probability_path = files.prediction_paths(job.folder, image_id, 7)
        mask = masks.load(mask_path, sha256=record.mask_sha256)
        assert mask.shape == (30, 40)
        assert np.array_equal(mask > 0, masks.load(probability_path) >= 128)
        assert record.foreground == pytest.approx(mask.mean())
        assert record.model_version == 7
        assert record.embedding is not None
        assert record.signals["area"] == mask.sum()


def test_job_with_a_damaged_model_says_so(network: ResidualUNet, tmp_path: Path) -> None:
    model = tmp_path / "0001.safetensors"
    digest = checkpoint.save(model, Checkpoint.of(network))
    payload = bytearray(model.read_bytes())
    payload[-3] ^= 1
    model.write_bytes(payload)
    job = PredictionJob((JobImage(1, tmp_path / "a.png", "0"),), tmp_path, model, 1, digest)
    with pytest.raises(CheckpointError, match=r"0001\.safetensors.*damaged"):
        next(predict_files(job))
