"""The orders of the queue, on small made cases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labeler.acquisition import ACQUISITIONS, ONE_IN, Candidates, Known, highest_cosine, seeds, standardised

NAN = float("nan")
ALL = 1000


def candidates(count: int, **columns: Any) -> Candidates:
    """Images with ids from 1 on, of which nothing is known but ``columns``."""
    rng = np.random.default_rng(5)
    plain = Candidates(
        image_ids=np.arange(1, count + 1),
        skips=np.zeros(count, np.int64),
        draw=rng.permutation(count) / count,
        confidence=np.full(count, NAN),
        signal=np.full(count, NAN),
        looks=np.zeros((count, 0), np.float32),
    )
    return replace(plain, **{name: np.asarray(column) for name, column in columns.items()})


def ids(name: str, found: Candidates, known: Known | None = None, places: int = ALL) -> list[int]:
    return found.image_ids[ACQUISITIONS[name].order(found, known or Known(), places)].tolist()


def kinds(count: int, *, of: int, dims: int = 12, noise: float = 0.02) -> np.ndarray:
    """Unit vectors (count, dims) around ``of`` directions in turn."""
    rng = np.random.default_rng(1)
    centres = np.eye(dims)[:of]
    vectors = centres[np.arange(count) % of] + noise * rng.standard_normal((count, dims))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "columns", "expected"),
    [
        ("confidence", {"confidence": [0.5, 0.2, NAN, 0.9]}, [3, 2, 1, 4]),
        ("margin", {"signal": [0.3, 0.1, NAN, 0.2], "confidence": [0.1, 0.9, 0.0, 0.9]}, [2, 4, 1, 3]),
        ("entropy", {"signal": [0.3, 0.1, NAN, 0.2], "confidence": [0.1, 0.9, 0.0, 0.9]}, [1, 4, 2, 3]),
        ("disagreement", {"signal": [0.8, 0.3, NAN, 0.6], "confidence": [0.1, 0.1, 0.5, 0.1]}, [2, 3, 4, 1]),
        ("random", {"draw": [0.8, 0.3, 0.9, 0.6]}, [2, 4, 1, 3]),
        ("streamed", {}, [1, 2, 3, 4]),
    ],
)
def test_order_follows_its_figure_and_falls_back_to_the_confidence(
    name: str, columns: dict[str, list[float]], expected: list[int]
) -> None:
    assert ids(name, candidates(4, **columns)) == expected


@pytest.mark.parametrize("name", ACQUISITIONS)
def test_every_order_is_a_permutation_that_puts_skipped_images_last_and_never_changes(name: str) -> None:
    rng = np.random.default_rng(2)
    found = candidates(60, confidence=rng.random(60), signal=rng.random(60), looks=kinds(60, of=7, noise=0.3))
    found = replace(found, skips=(np.arange(60) % 10 == 0).astype(np.int64))
    order = ids(name, found, Known(taught=kinds(5, of=5), answered=3), places=20)
    assert sorted(order) == list(range(1, 61))
    assert {image_id % 10 for image_id in order[-6:]} == {1}
    assert order == ids(name, found, Known(taught=kinds(5, of=5), answered=3), places=20)
    assert ids(name, candidates(0)) == []


def test_informative_prefers_what_looks_like_nothing_taught() -> None:
    looks = kinds(40, of=4, dims=4, noise=0.1)  # ids 1, 5, 9 ... are of the first kind, which the champion knows
    found = candidates(40, confidence=np.full(40, 0.5), looks=looks)
    order = ids("informative", found, Known(taught=kinds(40, of=4, dims=4, noise=0.1)[::4]), places=6)
    assert {image_id % 4 for image_id in order[:3]} == {0, 2, 3}


def test_informative_prefers_the_likely_wrong_among_equally_new() -> None:
    confidence = np.linspace(0.9, 0.1, 30)
    order = ids("informative", candidates(30, confidence=confidence), places=ONE_IN - 1)
    assert order[:3] == [30, 29, 28]


def test_twins_of_what_was_just_labelled_or_chosen_wait_behind_all_others() -> None:
    looks = np.concatenate([kinds(30, of=10, noise=0.3), kinds(10, of=10, noise=0.0), kinds(10, of=10, noise=0.0)])
    confidence = np.r_[np.full(30, 0.7), np.full(20, 0.1)]  # the twins are the likeliest wrong
    found = candidates(50, confidence=confidence, looks=looks)
    order = ids("informative", found, places=50)
    first, second = ({*range(31, 41)}, {*range(41, 51)})
    front = order[:40]
    for twin in range(10):
        assert len({31 + twin, 41 + twin} & set(front)) == 1, "of each two exactly one is asked for"
    after = ids("informative", found, Known(fresh=looks[30:40]), places=50)
    assert set(after[-20:]) == first | second, "once one of them is labelled both wait for the next net"


def test_one_place_in_seven_is_drawn_by_lot_also_for_who_always_takes_the_first() -> None:
    rng = np.random.default_rng(0)
    found = candidates(200, confidence=rng.random(200))
    taken, answered = [], 0
    whole = ids("informative", found, places=28)[:28]
    while answered < 28:
        best = ids("informative", found, Known(answered=answered), places=1)[0]
        taken.append(best)
        keep = found.image_ids != best
        found = replace(found, **{name: getattr(found, name)[keep] for name in Candidates.__slots__})
        answered += 1
    assert taken == whole
    drawn = [taken[place] for place in range(ONE_IN - 1, 28, ONE_IN)]
    lots = candidates(200).draw
    assert max(lots[image_id - 1] for image_id in drawn) <= sorted(lots)[27]
    assert 0.1 <= len(drawn) / 28 <= 0.2


def test_coreset_takes_one_of_each_kind_before_a_second_of_any() -> None:
    found = candidates(48, looks=kinds(48, of=8))
    order = ids("coreset", found, Known(taught=kinds(8, of=8)[:2]), places=6)
    assert {image_id % 8 for image_id in order[:6]} == {3, 4, 5, 6, 7, 0}


def test_seeds_cover_every_kind_and_start_with_the_commonest() -> None:
    looks = np.concatenate([kinds(60, of=1), kinds(40, of=5)])
    found = candidates(100, looks=looks)
    chosen = seeds(found, Known(), 5)[:5]
    assert {0 if index < 60 else (index - 60) % 5 for index in chosen} == set(range(5))
    assert chosen[0] < 60 or (chosen[0] - 60) % 5 == 0
    labelled = Known(fresh=looks[chosen[:3]])
    assert set(seeds(found, labelled, 2)[:2] % 5) == set(chosen[3:] % 5)


def test_seeds_without_embeddings_are_a_random_order() -> None:
    found = candidates(30)
    assert found.image_ids[seeds(found, Known(), 10)].tolist() == ids("random", found)


def test_features_that_all_images_share_do_not_make_them_alike() -> None:
    rng = np.random.default_rng(0)
    raw = np.abs(rng.standard_normal((50, 16)) * 0.05 + 1).astype(np.float32)
    raw /= np.linalg.norm(raw, axis=1, keepdims=True)
    assert np.median(raw @ raw.T) > 0.99
    (looks,) = standardised(raw)
    assert abs(np.median(looks @ looks.T)) < 0.1
    assert highest_cosine(looks[:1], looks[1:]).max() < 0.95


def test_a_few_vectors_are_not_compared() -> None:
    looks, taught = standardised(kinds(5, of=5), kinds(3, of=3))
    assert not looks.any()
    assert not taught.any()
