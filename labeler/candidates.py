"""Waiting images as columns for the orders of the queue, which would be slow from records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from labeler.acquisition import Candidates
from labeler.database import Database
from labeler.records import ImageState, Split


class CandidateRows:
    """The table of images, seen by what is to be ordered."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest_labelled(
        self, most: int, *, split: Split | None = None, after: int = 0, until: int | None = None
    ) -> list[int]:
        """Ids of the labelled images with the newest labels, of these label ids."""
        rows = self._database.rows(
            # CROSS: from the newest label back, and not all labelled images and then sorted.
            "SELECT i.id FROM labels l CROSS JOIN images i ON i.id = l.image_id AND i.label_id = l.id "
            "WHERE +i.state = 'labelled' AND l.id > ? AND (? IS NULL OR l.id <= ?) AND (? IS NULL OR l.split = ?) "
            "ORDER BY l.id DESC LIMIT ?",
            (after, until, until, split, split, most),
        )
        return [image_id for (image_id,) in rows]

    def columns(
        self, states: Sequence[ImageState], *, signal: str = "", most: int | None = None, front: str = ""
    ) -> Candidates:
        """Images in these states as columns, without embeddings.

        Of more than ``most`` the lowest by ``front`` ("confidence", "id", "sha256") that were not skipped, and an
        eighth as many by lot.
        """
        counts = dict(self._database.rows("SELECT state, n FROM tallies"))
        waiting = sum(counts[state] for state in states)
        if most is None or waiting <= most:
            # Of many, row by row is faster than by the index of states, which jumps about in the order of confidence.
            column = "+state" if 4 * waiting > sum(counts.values()) else "state"
            where, values = f"{column} IN (SELECT value FROM json_each(?))", json.dumps(states)
        else:
            chosen = {*self.lowest(front, states, most), *self.lowest("sha256", states, most // 8)}
            where, values = "id IN (SELECT value FROM json_each(?))", json.dumps(list(chosen))
        figure = "json_extract(nullif(signals, ''), ?)" if signal else "?"
        rows = self._database.rows(
            f"SELECT id, skips, substr(sha256, 1, 8), confidence, {figure} FROM images WHERE {where} ORDER BY id",
            (f"$.{signal}" if signal else None, values),
        )
        return _columns(rows)

    def lowest(self, column: str, states: Sequence[ImageState], most: int) -> list[int]:
        """Ids of the ``most`` lowest by a column that were not skipped."""
        # The plus keeps SQLite from sorting all of a state: by hash and by id there is an index in the right order.
        order, state = ("confidence, id", "state") if column == "confidence" else (column, "+state")
        rows = self._database.rows(
            f"SELECT id FROM images WHERE {state} IN ({', '.join('?' * len(states))}) AND skips = 0 "
            f"AND sha256 IS NOT NULL ORDER BY {order} LIMIT ?",
            (*states, most),
        )
        return [image_id for (image_id,) in rows]


def _columns(rows: list[tuple[Any, ...]]) -> Candidates:
    ids, skips, digests, confidences, signals = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    heads = np.frombuffer(b"".join(digests), ">u8")
    return Candidates(
        np.array(ids, np.int64),
        np.array(skips, np.int64),
        heads / 2.0**64,
        np.array(confidences, np.float64),  # None becomes NaN
        np.array(signals, np.float64),
        np.zeros((len(ids), 0), np.float32),
    )
