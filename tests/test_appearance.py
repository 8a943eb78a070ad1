"""What images look like without a model."""

from __future__ import annotations

import numpy as np
import pytest

from labeler.appearance import appearance


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (90, 70), dtype=np.uint8)


def test_turned_and_mirrored_images_look_alike_and_others_do_not(noise: np.ndarray) -> None:
    smooth = np.tile(np.linspace(0, 255, 70).astype(np.uint8), (90, 1))
    look = appearance(noise)
    assert look.dtype == np.float32
    assert np.linalg.norm(look) == pytest.approx(1, abs=1e-5)
    for turned in (noise[::-1], noise[:, ::-1], noise.T):
        assert look @ appearance(turned) > 0.995
    assert look @ appearance(smooth) < 0.9


def test_colour_is_seen_and_depth_is_not(noise: np.ndarray) -> None:
    grey = np.repeat(noise[..., None], 3, axis=-1)
    coloured = grey.copy()
    coloured[..., 0] = 0
    assert appearance(noise) @ appearance(grey) > 0.999
    assert appearance(noise) @ appearance(coloured) < 0.97
    assert appearance(noise) @ appearance(noise.astype(np.uint16) * 257) > 0.99


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (2000, 3), (5, 5, 3)])
@pytest.mark.parametrize("level", [0, 255])
def test_flat_images_of_any_size_have_a_finite_look(shape: tuple[int, ...], level: int) -> None:
    look = appearance(np.full(shape, level, np.uint8))
    assert np.isfinite(look).all()
    assert np.linalg.norm(look) == pytest.approx(1, abs=1e-5)
