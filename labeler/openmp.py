"""How the threads of torch wait for each other; to be settled before torch is imported."""

from __future__ import annotations

import os

SPINS = "10000"  # some tenths of a millisecond: longer than the gaps within a training step, shorter than those between


def wait_briefly() -> None:
    """Let idle OpenMP threads spin for a moment, then sleep; what the person's environment says is left alone.

    Without a limit they spin on and starve the window and other programs; without spinning, waking them takes a third
    of a training step. Only GNU's OpenMP (torch on Linux) reads the second variable.
    """
    if "OMP_WAIT_POLICY" not in os.environ and "GOMP_SPINCOUNT" not in os.environ:
        os.environ.update(OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT=SPINS)
