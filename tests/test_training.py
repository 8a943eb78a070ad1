"""A round: what it learns, how it stops, and how it fails."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage import draw, measure

from labeler import checkpoint, images, masks, metrics, ships, sizing, training
from labeler.dataset import (
    Batches,
    Core,
    Pair,
    Sample,
    look_alikes,
    network_input,
    pair_of,
    pasted_under,
    polarity_varies,
    sizes_vary,
    standardisation,
)
from labeler.device import autocast_dtype, choose_device, is_out_of_memory
from labeler.driving import drain
from labeler.errors import SettingsError, TrainingError
from labeler.files import sha256_of_file
from labeler.inference import Predictor
from labeler.networks import NetworkConfig, ResidualUNet
from labeler.records import Mask, Progress
from labeler.settings import Settings, settings_from
from labeler.ships import ShipsConfig
from labeler.sizing import choose_sizing
from labeler.training import RoundResult, Trainer, TrainingJob, fit_for, not_finite, run_round

SMALL = ShipsConfig(size=64, margin=16, radii=(8.0, 14.0), sides=(6.0, 16.0))
QUICK = Settings(base_width=4, patch=64, batch=4, steps=12, first_steps=12, shift=4, device="cpu")


def _samples(folder: Path, count: int, *, seed: int = 1) -> tuple[Sample, ...]:
    found = []
    for index, (image, mask) in enumerate(ships.pairs(count, seed=seed, config=SMALL)):
        image_path, mask_path = folder / f"{seed}-{index}.png", folder / f"{seed}-{index}.mask.png"
        image_path.write_bytes(images.encode(ships.as_uint8(image)))
        digest = masks.save(mask_path, mask)
        found.append(Sample(image_path, mask_path, sha256_of_file(image_path), digest))
    return tuple(found)


@pytest.fixture
def job(tmp_path: Path) -> TrainingJob:
    return TrainingJob(
        core=_samples(tmp_path, 4),
        holdout=_samples(tmp_path, 2, seed=2),
        output=tmp_path / "0001.safetensors",
        settings=QUICK,
        seed=5,
    )


def _run(job: TrainingJob) -> tuple[RoundResult, list[Progress]]:
    seen: list[Progress] = []
    return drain(run_round(job), seen.append), seen


def test_round_learns_and_reports(job: TrainingJob) -> None:
    longer = replace(job, settings=QUICK.model_copy(update={"first_steps": 120, "base_width": 6}))
    result, seen = _run(longer)
    losses = [item.metrics["loss"] for item in seen if "loss" in item.metrics]
    assert len(losses) == result.steps == 120
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:10])
    assert result.core_iou > 0.5
    assert len(result.challenger_ious) == len(result.judged) == 2
    assert result.champion_ious is None
    assert {item.phase for item in seen} == {"reading", "training", "checking", "judging"}


def test_long_round_takes_longer_with_a_large_core_but_not_with_accepted_masks(job: TrainingJob) -> None:
    pair = job.core[0]
    sizes = {count: replace(job, core=(pair,) * count, long=True).steps(warm=False) for count in (4, 50, 200, 10_000)}
    assert sizes == {4: 1500, 50: 1500, 200: 3000, 10_000: 4500}
    assert replace(job, core=(pair,) * 200, long=True, accepted=(pair,)).steps(warm=True) == 1000
    assert replace(job, core=(pair,) * 200).steps(warm=False) == job.settings.first_steps


def test_challenger_can_be_loaded_and_predicts_what_was_measured(job: TrainingJob) -> None:
    result, _ = _run(job)
    predictor = Predictor.load(result.path, sha256=result.sha256, device="cpu")
    image = images.load(job.holdout[0].image_path)
    reference = masks.load(job.holdout[0].mask_path)
    found = predictor.predict([image])[0].mask
    union = np.count_nonzero(found | reference)
    measured = np.count_nonzero(found & reference) / union if union else 1.0
    assert measured == pytest.approx(result.challenger_ious[0])


def test_round_goes_on_from_the_champion_and_judges_both(job: TrainingJob, tmp_path: Path) -> None:
    first, _ = _run(job)
    second, _ = _run(
        replace(job, champion=first.path, champion_sha256=first.sha256, output=tmp_path / "0002.safetensors")
    )
    assert second.champion_ious == first.challenger_ious
    assert sha256_of_file(first.path) == first.sha256


def test_same_job_gives_the_same_weights(job: TrainingJob, tmp_path: Path) -> None:
    job = replace(job, settings=QUICK.model_copy(update={"threads": torch.get_num_threads()}))
    first, _ = _run(job)
    again, _ = _run(replace(job, output=tmp_path / "again.safetensors"))
    ours, theirs = checkpoint.load(first.path).weights, checkpoint.load(again.path).weights
    # Sums over threads are not ordered: equal but for rounding.
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-3) for name in ours if ours[name].is_floating_point())


def test_closing_a_round_stops_it_at_once_and_writes_nothing(job: TrainingJob) -> None:
    steps = run_round(replace(job, settings=QUICK.model_copy(update={"first_steps": 10_000})))
    for progress in steps:
        if progress.phase == "training" and progress.done == 3:
            break
    begin = time.monotonic()
    steps.close()
    assert time.monotonic() - begin < 1
    assert not job.output.exists()


def test_unreadable_samples_are_left_out_and_named(job: TrainingJob) -> None:
    job.core[1].image_path.write_bytes(b"no image")
    result, _ = _run(job)
    assert result.core_count == 3
    assert any(job.core[1].image_path.name in note for note in result.notes)


def test_changed_image_is_never_trained_on_with_the_old_mask(job: TrainingJob) -> None:
    job.core[0].image_path.write_bytes(job.core[1].image_path.read_bytes())
    result, _ = _run(job)
    assert result.core_count == 3


def test_round_without_a_readable_label_says_so(job: TrainingJob) -> None:
    for sample in job.core:
        sample.image_path.unlink()
    with pytest.raises(TrainingError, match="readable label"):
        _run(job)


def test_missing_champion_leads_to_a_round_from_nothing(job: TrainingJob, tmp_path: Path) -> None:
    result, _ = _run(replace(job, champion=tmp_path / "gone.safetensors"))
    assert any("started from nothing" in note for note in result.notes)


def test_all_background_core_trains_without_a_division_by_zero(job: TrainingJob) -> None:
    for sample in job.core:
        masks.save(sample.mask_path, np.zeros((64, 64), np.uint8))
    result, seen = _run(replace(job, core=tuple(replace(sample, mask_sha256=None) for sample in job.core)))
    assert all(math.isfinite(value) for item in seen for value in item.metrics.values())
    assert 0 <= result.core_iou <= 1


def test_single_tiny_image_trains(job: TrainingJob, tmp_path: Path) -> None:
    image_path, mask_path = tmp_path / "dot.png", tmp_path / "dot.mask.png"
    image_path.write_bytes(images.encode(np.full((1, 1), 200, np.uint8)))
    masks.save(mask_path, np.ones((1, 1), np.uint8))
    result, _ = _run(replace(job, core=(Sample(image_path, mask_path),), holdout=()))
    assert result.core_count == 1


def test_several_classes_train(job: TrainingJob) -> None:
    for sample in job.core + job.holdout:
        mask = masks.load(sample.mask_path)
        mask[:8] = 2
        masks.save(sample.mask_path, mask)
    settings = QUICK.model_copy(update={"classes": ("ship", "sky")})
    free = [tuple(replace(s, mask_sha256=None) for s in split) for split in (job.core, job.holdout)]
    result, _ = _run(replace(job, settings=settings, core=free[0], holdout=free[1]))
    assert Predictor.load(result.path, device="cpu").classes == 2


def test_nan_loss_lowers_the_rate_and_tries_again(job: TrainingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = training.segmentation_loss, []

    def sometimes(logits: torch.Tensor, target: torch.Tensor, **how: bool) -> torch.Tensor:
        calls.append(1)
        return real(logits, target, **how) * (math.nan if len(calls) == 3 else 1)

    monkeypatch.setattr(training, "segmentation_loss", sometimes)
    result, seen = _run(job)
    assert result.steps == QUICK.first_steps
    rates = [item.metrics["lr"] for item in seen if "lr" in item.metrics]
    assert max(rates[3:]) == pytest.approx(max(rates[:3]) * QUICK.lr / max(rates[:3]) / 4)
    assert any("nan" in note and ".png" in note for note in result.notes)


def test_nan_in_every_try_fails_with_the_images_named(job: TrainingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    real = training.segmentation_loss
    monkeypatch.setattr(training, "segmentation_loss", lambda *given, **how: real(*given, **how) * math.nan)
    with pytest.raises(TrainingError, match=r"given up .*\.png"):
        _run(job)
    assert not job.output.exists()


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_out_of_memory_halves_the_batch_and_tries_again(
    job: TrainingJob, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    real, sizes = training.segmentation_loss, []

    def hungry(logits: torch.Tensor, target: torch.Tensor, **how: bool) -> torch.Tensor:
        sizes.append(len(logits))
        if len(logits) > 2:
            raise error
        return real(logits, target, **how)

    monkeypatch.setattr(training, "segmentation_loss", hungry)
    result, _ = _run(job)
    assert sizes[0] == 4
    assert set(sizes[1:]) == {2}
    assert any("memory" in note for note in result.notes)


def test_bug_in_a_step_is_not_taken_for_a_lack_of_memory(job: TrainingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(logits: torch.Tensor, target: torch.Tensor, **how: bool) -> torch.Tensor:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(training, "segmentation_loss", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        _run(job)


def test_not_finite_weights_are_never_published(job: TrainingJob) -> None:
    network = ResidualUNet(NetworkConfig(base_width=2))
    assert not not_finite(network)
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] = math.inf
    assert not_finite(network)


def test_out_of_memory_is_recognised_in_all_its_forms() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"))
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_device_falls_back_to_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto").type == choose_device("cuda").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"
    assert choose_device("cpu").type == "cpu"


def test_cuda_computes_in_bf16_only_where_the_hardware_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert autocast_dtype(torch.device("cuda")) is torch.bfloat16
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: False)
    assert autocast_dtype(torch.device("cuda")) is None


def test_crops_keep_image_and_mask_together(tmp_path: Path) -> None:
    """Every crop of an image whose pixels are its mask must again be its mask."""
    rng = np.random.default_rng(0)
    mask = (rng.random((50, 70)) > 0.7).astype(np.uint8)
    image_path, mask_path = tmp_path / "a.png", tmp_path / "a.mask.png"
    image_path.write_bytes(images.encode(mask * np.uint8(200)))
    masks.save(mask_path, mask)
    settings = QUICK.model_copy(update={"brightness": 0.0, "shift": 20, "stretch": 0.0})
    core = Core([Sample(image_path, mask_path)], classes=1, memory_mb=64)
    x, target, _ = Batches(core, settings, rng, channels=3).draw(40)
    assert x.shape == (40, 3, 64, 64)
    assert torch.equal((x[:, 0] > 0).long(), target)
    assert len({tile.numpy().tobytes() for tile in target}) > 30


def test_stretched_crops_keep_image_and_mask_together(tmp_path: Path) -> None:
    mask = np.zeros((90, 120), np.uint8)
    mask[draw.ellipse(40, 70, 12, 16)] = 1
    image_path, mask_path = tmp_path / "a.png", tmp_path / "a.mask.png"
    image_path.write_bytes(images.encode(mask * np.uint8(200)))
    masks.save(mask_path, mask)
    settings = QUICK.model_copy(update={"brightness": 0.0, "stretch": 0.3, "paste": 0.0})
    core = Core([Sample(image_path, mask_path)], classes=1, memory_mb=64)
    x, target, _ = Batches(core, settings, np.random.default_rng(0), channels=3).draw(60)
    middle = (x[:, 0].max() + x[:, 0].min()) / 2  # between the two values that the image has
    assert ((x[:, 0] > middle).long() != target).float().mean() < 0.005
    whole = [int(tile.sum()) for tile in target if not (tile[[0, -1]].any() or tile[:, [0, -1]].any())]
    assert min(whole) < 0.8 * mask.sum() < 1.1 * mask.sum() < max(whole)


def test_pasted_objects_come_with_their_mask_and_crowd_a_crop(tmp_path: Path) -> None:
    core = Core(_samples(tmp_path, 6), classes=1, memory_mb=64)
    core._kept = {index: _flat(core.pair(index).mask, bright=True) for index in range(6)}
    regions, settings = [], QUICK.model_copy(update={"brightness": 0.0, "stretch": 0.0})
    for paste in (0.0, 1.0):
        batches = Batches(core, settings.model_copy(update={"paste": paste}), np.random.default_rng(0), channels=3)
        x, target, _ = batches.draw(40)
        assert torch.equal((x[:, 0] > 0).long(), target)
        regions.append([int(measure.label(tile.numpy()).max()) for tile in target])
    assert max(regions[0]) == 1 < max(regions[1])
    assert sum(regions[0]) < sum(regions[1])


def test_bright_objects_are_pasted_over_dark_ones_only_where_inversion_says_nothing(tmp_path: Path) -> None:
    core = Core(_samples(tmp_path, 2), classes=1, memory_mb=64)
    core._kept = {index: _flat(core.pair(index).mask, bright=index == 0) for index in range(2)}
    for invert in ("no", "yes"):
        settings = QUICK.model_copy(update={"brightness": 0.0, "stretch": 0.0, "paste": 1.0, "invert": invert})
        x, target, chosen = Batches(core, settings, np.random.default_rng(0), channels=3).draw(60)
        bright = torch.tensor([sample == core.samples[0] for sample in chosen]).view(-1, 1, 1)
        if invert == "yes":  # the sign of a whole crop is drawn anew
            bright = torch.stack([tile[0][mask > 0].max() > 0 for tile, mask in zip(x, target, strict=True)])
            bright = bright.view(-1, 1, 1)
        assert torch.equal(((x[:, 0] > 0) == bright).long(), target)


def test_look_alike_is_what_is_as_bright_as_the_objects_and_touches_none() -> None:
    mask, square, touching = (np.zeros((64, 64), np.uint8) for _ in range(3))
    mask[draw.ellipse(20, 20, 8, 8)] = 1
    square[40:52, 40:52] = 1
    touching[24:36, 20:24] = 1
    for bright in (True, False):
        pixels = np.where((mask | square | touching > 0) == bright, np.uint8(200), np.uint8(20))
        pair = pair_of(pixels, mask)
        crop = ((pair.image[..., None] - np.float32(pair.mean)) * np.float32(pair.scale), mask)
        alike = look_alikes(crop, pair.contrast, pair.middle)
        assert metrics.iou(alike, square > 0) > 0.9
        assert not (alike & (mask > 0)).any()


def test_look_alikes_come_beneath_objects_and_touch_them() -> None:
    mask, alike = np.zeros((64, 64), np.uint8), np.zeros((64, 64), bool)
    mask[draw.ellipse(20, 20, 8, 8)] = 1
    alike[40:52, 40:52] = True
    image, donor = np.zeros((64, 64, 1), np.float32), np.full((64, 64, 1), 2, np.float32)
    for lots in np.random.default_rng(0).random((20, 2)):
        changed, same = pasted_under((image, mask), donor, alike, -1.0, lots=lots)
        laid = changed[..., 0] == -2
        assert same is mask
        assert laid.any()
        assert not (laid & (mask > 0)).any()
        assert measure.label(laid | (mask > 0)).max() == 1
    empty = (image, np.zeros_like(mask))
    assert pasted_under(empty, donor, alike, 1.0, lots=np.zeros(2)) is empty


def _flat(mask: Mask, *, bright: bool) -> Pair:
    """An image of two values, its objects bright or dark."""
    return pair_of(np.where((mask > 0) == bright, np.uint8(200), np.uint8(0)), mask)


def test_batches_beyond_the_memory_budget_are_the_same(tmp_path: Path) -> None:
    samples = _samples(tmp_path, 3)
    kept, read_again = (Core(samples, classes=1, memory_mb=size) for size in (64, 0))
    drawn = [Batches(core, QUICK, np.random.default_rng(1), channels=3).draw(6)[0] for core in (kept, read_again)]
    assert torch.equal(drawn[0], drawn[1])


def test_round_from_nothing_learns_whole_images_before_objects_are_laid_over_them(
    job: TrainingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    draw = Batches.draw

    def noted(batches: Batches, count: int, *, stretched: bool = True, pasted: bool = True) -> Any:
        asked.append(pasted)
        return draw(batches, count, stretched=stretched, pasted=pasted)

    monkeypatch.setattr(Batches, "draw", noted)
    core, champion = Core(job.core, classes=1, memory_mb=64), ResidualUNet(NetworkConfig(base_width=4, dropout=0.0))
    for fit, wanted in ((fit_for(QUICK), [False, True, True, True, True]), (fit_for(QUICK, champion), [True] * 5)):
        asked.clear()
        trainer = Trainer(QUICK, 0, core, fit, steps=5)
        for step in range(5):
            trainer.step(step)
        assert asked == wanted


def test_small_and_large_objects_count_the_same_at_first_where_both_are_shown(
    tmp_path: Path, job: TrainingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = [2, 2, 30, 30, 0]
    core = Core([_square(tmp_path / f"{at}.png", side) for at, side in enumerate(sides)], classes=1, memory_mb=64)
    alike = Core(job.core, classes=1, memory_mb=64)
    assert sizes_vary(core)
    assert sizes_vary(Core([core.samples[0]] * 80 + [core.samples[2]] * 80, classes=1, memory_mb=64))  # in any order
    assert not sizes_vary(alike)
    assert not sizes_vary(Core([_square(tmp_path / "none.png", 0)], classes=1, memory_mb=64))
    real, asked = training.segmentation_loss, []

    def noted(*given: torch.Tensor, balanced: bool) -> torch.Tensor:
        asked.append(balanced)
        return real(*given, balanced=balanced)

    monkeypatch.setattr(training, "segmentation_loss", noted)
    settings = QUICK.model_copy(update={"patch": 32})
    for pairs, wanted in ((core, [True, True, False, False]), (alike, [False] * 4)):
        asked.clear()
        trainer = Trainer(settings, 0, pairs, fit_for(QUICK), steps=4)
        for step in range(4):
            trainer.step(step)
        assert asked == wanted
    fit = fit_for(settings, ResidualUNet(NetworkConfig(base_width=4, dropout=0.0)))
    assert Trainer(settings, 0, core, fit, steps=4).balanced_until == 0


def _square(path: Path, side: int) -> Sample:
    image, mask = np.full((64, 64), 90, np.uint8), np.zeros((64, 64), np.uint8)
    mask[5 : 5 + side, 5 : 5 + side] = 1
    image[mask > 0] = 160
    path.write_bytes(images.encode(image))
    masks.save(path.with_name(f"mask-{path.name}"), mask, durable=False)
    return Sample(path, path.with_name(f"mask-{path.name}"))


def test_normalisation_keeps_its_statistics_in_the_last_steps(job: TrainingJob) -> None:
    core, fit = Core(job.core, classes=1, memory_mb=64), fit_for(QUICK)
    trainer = Trainer(QUICK, 0, core, fit, steps=5)
    assert 0 < trainer.held_from < 5
    for step in range(trainer.held_from):
        trainer.step(step)
    drain(trainer.hold_statistics(trainer.held_from, 5))
    known, weights = _statistics(fit.network), [value.clone() for value in fit.network.parameters()]
    trainer.step(trainer.held_from)
    assert all(map(torch.equal, known, _statistics(fit.network)))
    assert not all(map(torch.equal, weights, fit.network.parameters()))
    assert all(map(torch.equal, known, _statistics(fit.average)))
    batch = torch.randn(3, 3, 32, 32)
    with torch.no_grad():  # what one image gives does not depend on the others of its batch
        assert torch.allclose(fit.network(batch)[:1], fit.network(batch[:1]), atol=1e-4)


def test_round_that_goes_on_keeps_the_statistics_of_the_champion(job: TrainingJob) -> None:
    champion = ResidualUNet(NetworkConfig(base_width=4, dropout=0.0))
    for values in _statistics(champion):
        values.uniform_(0.5, 1.5)
    core, fit = Core(job.core, classes=1, memory_mb=64), fit_for(QUICK, champion)
    trainer = Trainer(QUICK, 0, core, fit, steps=5)
    assert trainer.held_from == 0
    drain(trainer.hold_statistics(0, 5))
    trainer.step(0)
    assert all(map(torch.equal, _statistics(champion), _statistics(fit.network)))


def _statistics(network: ResidualUNet) -> list[torch.Tensor]:
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    found = [value for norm in norms for value in (norm.running_mean, norm.running_var)]
    return [value for value in found if value is not None]


def test_round_on_new_labels_ends_halfway_to_the_champion(job: TrainingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    champion, _ = _run(job)
    further = replace(job, champion=champion.path, output=job.output.with_name("0002.safetensors"))
    halfway, _ = _run(further)
    monkeypatch.setattr(Trainer, "meet", lambda *_: None)
    whole, _ = _run(replace(further, output=job.output.with_name("0003.safetensors")))
    before, after, met = (checkpoint.load(result.path).weights for result in (champion, whole, halfway))
    assert any(not torch.equal(before[name], after[name]) for name in met)
    for name, value in met.items():
        assert torch.allclose(value.float(), (before[name].float() + after[name].float()) / 2, atol=1e-6)


def test_round_from_nothing_or_on_accepted_masks_ends_where_it_ends(
    job: TrainingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion, _ = _run(job)
    monkeypatch.setattr(Trainer, "meet", lambda *_: pytest.fail("met the champion"))
    output = job.output.with_name("0002.safetensors")
    _run(replace(job, champion=champion.path, from_scratch=True, output=output))
    _run(replace(job, champion=champion.path, accepted=job.core, output=output))


def test_new_labels_come_more_often_where_the_network_knows_the_rest(tmp_path: Path) -> None:
    for count, favour_new, low, high in ((8, True, 0.25, 0.5), (8, False, 0.05, 0.25), (4, True, 0.5, 0.75)):
        samples = list(_samples(tmp_path, count))
        samples[3] = replace(samples[3], fresh=True)
        core = Core(samples, classes=1, memory_mb=64)
        batches = Batches(core, QUICK, np.random.default_rng(0), channels=3, favour_new=favour_new)
        chosen = [sample for _ in range(30) for sample in batches.draw(4)[2]]
        assert low <= chosen.count(samples[3]) / len(chosen) < high


def test_round_from_nothing_sees_new_labels_as_often_as_old_ones(job: TrainingJob) -> None:
    core = Core([replace(job.core[0], fresh=True), *job.core[1:]], classes=1, memory_mb=64)
    champion = ResidualUNet(NetworkConfig(base_width=4, dropout=0.0))
    assert not Trainer(QUICK, 0, core, fit_for(QUICK), steps=5).batches.fresh
    assert Trainer(QUICK, 0, core, fit_for(QUICK, champion), steps=5).batches.fresh == [0]


def test_standardised_input_has_mean_zero_and_deviation_one_in_8_and_16_bit() -> None:
    rng = np.random.default_rng(0)
    small = rng.integers(10, 60, (40, 30), dtype=np.uint8)
    for image in (small, small.astype(np.uint16) * 257, np.stack([small] * 3, axis=-1)):
        x = network_input(image)
        assert x.shape == (3, 40, 30)
        assert abs(float(x.mean())) < 1e-4
        assert float(x.std()) == pytest.approx(1, abs=1e-3)
    assert standardisation(np.zeros((4, 4), np.uint8))[1] == pytest.approx(1.0)


def test_inverted_images_are_trained_on_where_objects_are_dark_and_bright(tmp_path: Path) -> None:
    both = Core(_samples(tmp_path, 12), classes=1, memory_mb=64)  # of ships, half are darker than the sea
    assert polarity_varies(both)
    bright = [index for index in range(12) if _is_bright(both.pair(index))]
    both.keep_only(bright)
    assert not polarity_varies(both)
    chosen = {mode: QUICK.model_copy(update={"invert": mode}) for mode in ("auto", "yes", "no")}
    rng = np.random.default_rng(0)
    assert [Batches(both, settings, rng, channels=3).inverting for settings in chosen.values()] == [False, True, False]


def _is_bright(pair: Pair) -> bool:
    return bool(pair.image[pair.mask > 0].mean() > pair.image[pair.mask == 0].mean())


def test_network_chooses_the_scale_at_which_its_objects_fit(tmp_path: Path) -> None:
    large = np.zeros((700, 900), np.uint8)
    large[100:400, 200:500] = 1
    auto = QUICK.model_copy(update={"base_width": 2})
    assert choose_sizing([large, np.zeros_like(large)], auto).scale == 0.25
    assert choose_sizing([np.zeros_like(large)], auto).scale == 1
    assert choose_sizing([large], auto.model_copy(update={"scale": 0.7})).scale == 0.7


def test_wide_network_is_chosen_only_where_the_device_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    auto = QUICK.model_copy(update={"base_width": 0})
    monkeypatch.setattr(sizing, "_seconds_per_step", lambda *_: 0.001)
    assert choose_sizing([], auto).base_width == 16
    monkeypatch.setattr(sizing, "_seconds_per_step", lambda *_: 60.0)
    chosen = choose_sizing([], auto)
    assert chosen.base_width == 8
    assert "12 steps of width 16 take about 720 s here" in chosen.reason


def test_round_at_half_scale_predicts_masks_of_full_size(tmp_path: Path, job: TrainingJob) -> None:
    halved = replace(job, settings=QUICK.model_copy(update={"scale": 0.5, "patch": 32}))
    result, _ = _run(halved)
    predictor = Predictor.load(result.path)
    assert predictor.scale == 0.5
    image = images.load(job.core[0].image_path)
    assert predictor.predict([image])[0].mask.shape == image.shape[:2]
    assert any("scale 0.5 (set by hand)" in note for note in result.notes)
    again, _ = _run(replace(halved, champion=result.path, output=tmp_path / "0002.safetensors", version=2))
    assert checkpoint.load(again.path).config.scale == 0.5


def test_older_projects_said_true_or_false_about_inversion() -> None:
    assert Settings.model_validate({"invert": True}).invert == "yes"
    assert Settings.model_validate({"invert": False}).invert == "no"


def test_scale_that_no_model_file_may_claim_is_refused_in_the_settings() -> None:
    with pytest.raises(SettingsError, match=r"scale: .*0\.015625 to 1"):
        settings_from({"scale": 0.01}, source="project.toml")
    assert settings_from({"scale": 0.0}, source="project.toml").scale == 0


def test_accepted_masks_are_learnt_but_what_cannot_be_read_is_left_out(job: TrainingJob, tmp_path: Path) -> None:
    accepted = _samples(tmp_path, 4, seed=3)
    accepted[0].mask_path.write_bytes(b"damaged")
    accepted[1].image_path.unlink()
    result, _ = _run(replace(job, accepted=accepted))
    assert result.accepted_count == 2
    assert result.core_count == 4
    assert checkpoint.load(result.path).metrics["accepted_count"] == 2
    assert _run(job)[0].accepted_count == 0


def test_accepted_masks_get_the_memory_that_the_core_leaves(tmp_path: Path) -> None:
    core = Core(_samples(tmp_path, 2), classes=1, memory_mb=1)
    assert core.room_mb == 1
    core.preload(0)
    assert core.room_mb == 0
    job = TrainingJob(tuple(core.samples), (), tmp_path / "0001.safetensors", QUICK, 0, accepted=tuple(core.samples))
    assert drain(training._read_accepted(job, core)) is None


def test_most_of_a_batch_is_drawn_from_the_accepted_masks(tmp_path: Path) -> None:
    core, accepted = (Core(_samples(tmp_path, 3, seed=seed), classes=1, memory_mb=64) for seed in (1, 3))
    batches = Batches(core, QUICK, np.random.default_rng(0), channels=3, accepted=accepted)
    drawn = [sample for _ in range(10) for sample in batches.draw(10)[2]]
    assert sum(sample in accepted.samples for sample in drawn) == 80
    assert {*drawn} == {*core.samples, *accepted.samples}


def test_round_on_accepted_masks_does_not_end_once_the_core_is_known(
    job: TrainingJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "STOP_IOU", 0.0)
    monkeypatch.setattr(training, "CHECK_EVERY", 4)
    assert _run(job)[0].steps == 4
    assert _run(replace(job, accepted=_samples(tmp_path, 2, seed=3)))[0].steps == 12
