"""Where to compute, in which precision, with how many threads."""

from __future__ import annotations

import ctypes
import math
import os
import platform
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache

import torch
from torch.nn import functional

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # names in malloc.h
PACE_EVERY, PACE_TRIALS = 100, 2  # steps from one trial of thread counts to the next, and steps for each count
PRECISION_TRIALS = 6  # of each precision, the first of them to warm up
OUT_OF_MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")


def choose_device(wanted: str = "auto") -> torch.device:
    """The device that ``wanted`` names; ``auto`` and what is not there fall back: cuda, then mps, then cpu."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted != "auto" and there.get(wanted):
        return torch.device(wanted)
    return torch.device(next(name for name in ("cuda", "mps", "cpu") if there[name]))


def describe(device: torch.device) -> str:
    """The device in words for a person."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{properties.name} ({properties.total_memory / 2**30:.0f} GiB)"
    name = {"mps": "Apple GPU", "cpu": f"processor ({torch.get_num_threads()} threads)"}[device.type]
    return f"{name}, {'bf16' if autocast_dtype(device) is not None else 'fp32'}"


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """bfloat16 where the device computes in it faster than in float32, else None."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    if device.type == "cpu":
        return torch.bfloat16 if processor_has_bf16() and bf16_pays() else None
    return None


@cache
def bf16_pays() -> bool:
    """Whether a convolution takes no longer in bfloat16 than in float32: measured once, in some 50 ms.

    Processors that have the instructions but not the units for them (avx512_bf16 without amx) need up to twice as long.
    """
    times: dict[torch.dtype, list[float]] = {torch.bfloat16: [], torch.float32: []}
    with torch.inference_mode():
        for _ in range(PRECISION_TRIALS):
            for dtype, seconds in times.items():
                x = torch.ones(4, 32, 64, 64, dtype=dtype).contiguous(memory_format=torch.channels_last)
                weight = torch.ones(32, 32, 3, 3, dtype=dtype)
                begin = time.perf_counter()
                functional.conv2d(x, weight, padding=1)
                seconds.append(time.perf_counter() - begin)
    return min(times[torch.bfloat16]) <= min(times[torch.float32])


def processor_has_bf16() -> bool:
    """True where the processor multiplies bfloat16 in hardware (avx512_bf16 or amx)."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def set_threads(count: int = 0, *, spare: int = 0) -> int:
    """Use ``count`` processor threads for computing (0: all but ``spare``); returns how many."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    chosen = count or max(1, available - spare)
    torch.set_num_threads(chosen)
    return chosen


class Pace:
    """As many threads as are fastest just now, up to those that torch is set to.

    Threads that wait for one another are slower than a single one as soon as another program keeps a core busy: now
    and then a few steps are timed with all, half of them and one. Where they are ``fixed`` it is all: sums over another
    number of threads are rounded differently, and training amplifies that.
    """

    def __init__(self, *, fixed: bool = False) -> None:
        self._fixed = fixed
        self._most, self._steps = 0, 0
        self._seconds: dict[int, float] = {}

    @contextmanager
    def step(self, work: float = 1.0) -> Generator[int, None, None]:
        """Run one step, as large as ``work`` says, with the number of threads that it gives."""
        most = torch.get_num_threads()
        if most != self._most:
            self._most, self._steps = most, 0
        trials = [most] if self._fixed else sorted({most, (most + 1) // 2, 1}, reverse=True)
        turn = self._steps % PACE_EVERY // PACE_TRIALS
        if self._steps % PACE_EVERY == 0:
            self._seconds = dict.fromkeys(trials, math.inf)
        threads = trials[turn] if turn < len(trials) else min(trials, key=self._seconds.__getitem__)
        begin = time.perf_counter()
        torch.set_num_threads(threads)
        try:
            yield threads
        finally:
            torch.set_num_threads(most)
        self._steps += 1
        if turn < len(trials):
            self._seconds[threads] = min(self._seconds[threads], (time.perf_counter() - begin) / work)


def keep_freed_memory() -> None:
    """Let glibc reuse freed memory of up to 1 GiB instead of returning it to the system.

    A training step allocates and frees the same hundreds of megabytes; getting them anew, zeroed page by page, took
    5-10 % of a step. Other allocators are left as they are.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is not None and hasattr(libc, "gnu_get_libc_version"):
        for name, size in ((M_MMAP_THRESHOLD, 256 << 20), (M_TRIM_THRESHOLD, 1 << 30)):
            libc.mallopt(name, size)


def is_out_of_memory(error: BaseException) -> bool:
    """True for every way in which torch and Python say that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in OUT_OF_MEMORY_WORDS)


def release_memory() -> None:
    """Give cached memory of a GPU back to the other programs on it."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
