"""The benchmark of labels on real sets: its test splits and its reading of a curve."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def labels() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("labels", HERE / "benchmarks" / "labels.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["labels"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["labels"]


def test_labels_for_a_share_lie_between_the_counts_that_enclose_it(labels: ModuleType) -> None:
    curve = {8: 0.5, 32: 0.7, 128: 0.8}
    assert labels.labels_for(curve, 0.6) == pytest.approx(16)
    assert labels.labels_for(curve, 0.4) == 8
    assert labels.labels_for(curve, 0.9) is None


def test_chains_of_near_duplicates_are_one_cluster(labels: ModuleType) -> None:
    hashes = np.zeros((5, 256), bool)
    hashes[3, :10] = True
    hashes[1, :20] = True
    hashes[4] = True
    assert labels.near_duplicates(list(hashes)) == [0, 0, 0, 0, 4]


def test_what_belongs_together_is_never_split(labels: ModuleType) -> None:
    rows = [{"group": "ab"[at % 2], "source": str(at // 4)} for at in range(80)]
    chosen = set(labels.drawn(labels.by(rows, lambda at: ("", rows[at]["source"]))))
    assert len(chosen) == 20
    assert all({at - at % 4 + other for other in range(4)} <= chosen for at in chosen)
    halves = labels.drawn(labels.by(rows, lambda at: (rows[at]["group"], at)))
    assert [sum(rows[at]["group"] == group for at in halves) for group in "ab"] == [10, 10]


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["dsb2018_nuclei", "cells_usiigaci", "magnetic_tile"])
def test_split_of_a_real_set_is_fixed_and_near_a_quarter(labels: ModuleType, realdata: Path, name: str) -> None:
    pairs, rows = labels.load(realdata / name)
    chosen = labels.places_for_test(name, pairs, rows)
    assert chosen == labels.places_for_test(name, pairs, rows)
    assert 0.2 * len(rows) < len(chosen) < 0.3 * len(rows)
    if name == "cells_usiigaci":
        sources = [
            {row["source_stem"] for at, row in enumerate(rows) if (at in set(chosen)) == inside}
            for inside in (False, True)
        ]
        assert not sources[0] & sources[1]
