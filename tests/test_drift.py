"""The alarm over a stream that changes, and its silence over one that does not."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from labeler.drift import FALSE_ALARM, Watch, capital


def _run(scores: np.ndarray, seed: int, version: int = 1) -> list[float]:
    ties = np.random.default_rng(seed).random(len(scores))
    return capital((version, float(score), float(tie)) for score, tie in zip(scores, ties, strict=True))


def test_alarm_comes_soon_after_a_switch() -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        scores = np.concatenate([rng.beta(20, 2, 600), rng.beta(8, 4, 200)])
        trace = np.array(_run(scores, seed))
        rung = np.flatnonzero(trace >= -math.log(FALSE_ALARM))
        assert 600 <= rung[0] < 660


def test_higher_scores_are_a_change_too() -> None:
    rng = np.random.default_rng(0)
    trace = _run(np.concatenate([rng.beta(8, 4, 600), rng.beta(30, 2, 200)]), 0)
    assert max(trace) >= -math.log(FALSE_ALARM)


def test_steady_stream_hardly_ever_alarms() -> None:
    alarms = sum(
        max(_run(np.random.default_rng(seed).beta(5, 2, 300), seed)) >= -math.log(FALSE_ALARM) for seed in range(200)
    )
    assert alarms <= 6  # 2 are expected at most; 7 or more have a probability below 0.5 %


def test_equal_scores_are_no_change() -> None:
    assert max(_run(np.ones(500), 3)) < -math.log(FALSE_ALARM)


def test_new_model_version_is_no_change() -> None:
    rng, watch = np.random.default_rng(1), Watch()
    for version, shape in ((1, 2), (2, 6), (3, 20)):
        for score in rng.beta(shape, 2, 200):
            watch.observe(version, float(score), float(rng.random()))
    assert not watch.alarmed
    assert watch.count == 600


def test_long_alarm_does_not_overflow() -> None:
    trace = _run(np.linspace(1, 0, 3000), 0)
    assert math.isfinite(trace[-1])
    assert trace[-1] > 300


def test_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="score"):
        Watch().observe(1, math.nan, 0.5)


def test_20000_sights_take_less_than_a_second() -> None:
    scores = np.random.default_rng(0).random(20_000)
    started = time.process_time()
    _run(scores, 0)
    assert time.process_time() - started < 1
