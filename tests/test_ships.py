"""The article's generator, checked against its description."""

from __future__ import annotations

import numpy as np
import pytest

from labeler import ships
from labeler.ships import ShipsConfig


def test_pair_has_the_article_s_size_and_ranges() -> None:
    for image, mask in ships.pairs(20, seed=3):
        assert image.shape == (128, 128, 3)
        assert image.dtype == np.float32
        assert mask.shape == (128, 128)
        assert set(np.unique(mask)) == {0, 1}
        assert image.min() >= 0
        assert image.max() <= 1
        inside, outside = image[mask == 1], image[mask == 0]
        low, high = (inside, outside) if inside.mean() < outside.mean() else (outside, inside)
        assert low.mean() < 0.5 < high.mean()
        assert (inside.max() <= 0.75) != (inside.min() >= 0.25)


def test_ellipse_area_follows_the_semi_axes() -> None:
    areas = [mask.sum() for _, mask in ships.pairs(300, seed=5)]
    # A corner of the frame can cut an ellipse; pi * 15^2 is what the middle of the range gives.
    assert min(areas) > np.pi * 10 * 10 / 4
    assert max(areas) <= np.pi * 20 * 20 * 1.05
    assert abs(np.mean(areas) - np.pi * 15 * 15) < 40


def test_both_polarities_are_equally_likely() -> None:
    dark = [image[mask == 1].mean() > 0.5 for image, mask in ships.pairs(400, seed=7)]
    assert 0.4 < np.mean(dark) < 0.6


def test_same_seed_gives_the_same_pairs_and_any_part_of_them() -> None:
    first = list(ships.pairs(5, seed=11))
    again = ships.pair(np.random.default_rng((11, 3)))
    assert np.array_equal(first[3][0], again[0])
    assert not np.array_equal(first[2][0], first[3][0])


def test_distractor_that_shares_rows_and_columns_is_moved_away_by_their_number() -> None:
    rows, columns = np.array([10, 11, 12]), np.array([20, 21, 22])
    ellipse_rows, ellipse_columns = np.array([9, 10, 11]), np.array([22, 23, 24])
    moved_rows, moved_columns = ships._moved_away(rows, columns, ellipse_rows, ellipse_columns, 128)
    # Rows 10 and 11 are shared (mean 10.5), the rectangle's mean 11 lies above: up by two in index.
    assert moved_rows.tolist() == [12, 13, 14]
    # Column 22 is shared, the mean 21 lies below: down by one.
    assert moved_columns.tolist() == [19, 20, 21]


def test_distractor_that_shares_only_rows_stays() -> None:
    rows, columns = np.array([10, 11]), np.array([50, 51])
    same = ships._moved_away(rows, columns, np.array([10, 11]), np.array([20, 21]), 128)
    assert same[0].tolist() == [10, 11]
    assert same[1].tolist() == [50, 51]


@pytest.mark.parametrize("distractor", ["rectangle", "triangle"])
def test_distractor_is_drawn_in_the_shapes_brightness(distractor: str) -> None:
    with_one = np.mean([_bright_share(image) for image, _ in ships.pairs(50, seed=1, config=_config(distractor))])
    without = np.mean([_bright_share(image) for image, _ in ships.pairs(50, seed=1, config=_config("none"))])
    assert with_one > without + 0.005


def _config(distractor: str) -> ShipsConfig:
    return ShipsConfig(distractor=distractor)  # type: ignore[arg-type]


def _bright_share(image: np.ndarray) -> float:
    """Share of pixels that are surely foreground, whichever polarity."""
    above, below = (image > 0.75).any(axis=-1).mean(), (image < 0.25).any(axis=-1).mean()
    return float(min(above, below))


def test_size_and_radii_can_be_chosen() -> None:
    config = ShipsConfig(size=64, margin=16, radii=(4.0, 6.0), sides=(4.0, 8.0))
    image, mask = ships.pair(np.random.default_rng(0), config)
    assert image.shape == (64, 64, 3)
    assert 20 < mask.sum() < 140
