"""Driving long work, which is a generator everywhere, to its result."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

Step = TypeVar("Step")
T = TypeVar("T")


def drain(work: Generator[Step, None, T], each: Callable[[Step], object] | None = None) -> T:
    """Run ``work`` to its end and return its result; ``each`` is called with every step."""
    while True:
        try:
            step = next(work)
        except StopIteration as stop:
            result: T = stop.value
            return result
        if each is not None:
            each(step)
