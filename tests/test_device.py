"""In which precision and with how many threads is computed."""

from __future__ import annotations

import math
from collections.abc import Generator

import pytest
import torch

from labeler import device
from labeler.device import PACE_EVERY, PACE_TRIALS, Pace, autocast_dtype


@pytest.fixture(autouse=True)
def _threads_as_before() -> Generator[None, None, None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Clock:
    """Time passes by ``seconds`` of the number of threads in use, for each unit of work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float]) -> None:
        self.now, self.seconds = 0.0, seconds
        monkeypatch.setattr(device.time, "perf_counter", lambda: self.now)

    def run(self, pace: Pace, steps: int, *, work: float = 1.0) -> list[int]:
        used = []
        for _ in range(steps):
            with pace.step(work) as threads:
                assert torch.get_num_threads() == threads
                self.now += self.seconds[threads] * work
            used.append(threads)
        return used


def test_fastest_number_of_threads_is_found_and_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(4)
    clock, pace = Clock(monkeypatch, {4: 1.0, 2: 1.5, 1: 2.0}), Pace()
    trials = [4] * PACE_TRIALS + [2] * PACE_TRIALS + [1] * PACE_TRIALS
    assert clock.run(pace, PACE_EVERY) == trials + [4] * (PACE_EVERY - len(trials))
    clock.seconds = {4: 3.0, 2: 2.5, 1: 2.0}  # another program has come
    assert clock.run(pace, PACE_EVERY)[len(trials) :] == [1] * (PACE_EVERY - len(trials))
    assert torch.get_num_threads() == 4


def test_small_batches_do_not_decide_by_being_small(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(2)
    clock, pace = Clock(monkeypatch, {2: 1.0, 1: 1.5}), Pace()
    clock.run(pace, PACE_TRIALS, work=100)
    assert clock.run(pace, PACE_TRIALS + 1, work=1)[-1] == 2


@pytest.mark.parametrize(("in_bf16", "in_fp32", "wanted"), [(1.0, 2.0, torch.bfloat16), (2.0, 1.0, None)])
def test_processor_computes_in_the_faster_precision(
    monkeypatch: pytest.MonkeyPatch, in_bf16: float, in_fp32: float, wanted: torch.dtype | None
) -> None:
    now = 0.0

    def convolution(x: torch.Tensor, *_: object, **__: object) -> None:
        nonlocal now
        now += in_bf16 if x.dtype is torch.bfloat16 else in_fp32

    monkeypatch.setattr(device.time, "perf_counter", lambda: now)
    monkeypatch.setattr(device.functional, "conv2d", convolution)
    monkeypatch.setattr(device, "processor_has_bf16", lambda: True)
    monkeypatch.setattr(device, "bf16_pays", device.bf16_pays.__wrapped__)
    assert autocast_dtype(torch.device("cpu")) is wanted


def test_one_thread_is_never_made_two(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    assert set(Clock(monkeypatch, {1: 1.0}).run(Pace(), PACE_EVERY + 1)) == {1}


def test_fixed_number_of_threads_is_kept_whatever_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(2)
    assert set(Clock(monkeypatch, {2: 2.0, 1: 1.0}).run(Pace(fixed=True), PACE_EVERY + 1)) == {2}


def test_failed_step_gives_the_threads_back_and_counts_for_nothing() -> None:
    torch.set_num_threads(2)
    pace = Pace()
    for _ in range(PACE_TRIALS):
        with pace.step():
            pass
    with pytest.raises(RuntimeError, match="boom"), pace.step():
        raise RuntimeError("boom")
    assert torch.get_num_threads() == 2
    with pace.step() as threads:
        assert threads == 1
    assert math.isfinite(pace._seconds[1])
