"""One SQLite connection: transactions, queries, errors by blame, and the project's memory of events and facts."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from labeler import schema


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the project; ``event_id`` orders them, clocks may jump."""

    event_id: int
    kind: str
    created: str
    payload: dict[str, Any]


def now(*, seconds_ago: float = 0.0) -> str:
    """Time of a row: ISO 8601 in UTC, to the millisecond. For people; rows are ordered by their ids."""
    return (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat(timespec="milliseconds")


class Database:
    """The connection of one open project."""

    def __init__(self, connection: sqlite3.Connection, path: Path, *, writable: bool = True) -> None:
        self._connection = connection
        self._path = path
        if not writable:
            connection.execute("PRAGMA query_only = ON")

    def close(self) -> None:
        """Close the connection; SQLite folds the write-ahead log into the file."""
        self._connection.close()

    @property
    def changes(self) -> int:
        """Grows with every row that is changed: what was read at the same figure still holds."""
        return self._connection.total_changes

    @contextlib.contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[None]:
        """All or nothing; inside another one it is a part of that.

        ``durable=False`` saves the fsync, for what can be made again: a power cut may undo the last of these.
        """
        if self._is_writing():
            yield
            return
        try:
            with self._translated():
                self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._connection.execute("BEGIN IMMEDIATE")
            yield
            with self._translated():
                self._connection.execute("COMMIT")
        except BaseException:
            if self._is_writing():
                self._connection.execute("ROLLBACK")
            raise

    def write(self, statement: str, values: Sequence[Any] | dict[str, Any] = ()) -> sqlite3.Cursor:
        """One statement that changes something; use it inside ``transaction``."""
        with self._translated():
            return self._connection.execute(statement, values)

    def write_many(self, statement: str, values: Iterable[Any]) -> int:
        """One statement for many rows; how many it changed."""
        with self._translated():
            return self._connection.executemany(statement, values).rowcount

    def rows(self, query: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._translated():
            return self._connection.execute(query, values).fetchall()

    def row(self, query: str, values: Sequence[Any] | dict[str, Any] = ()) -> tuple[Any, ...] | None:
        """The first row of a query, or None."""
        with self._translated():
            found: tuple[Any, ...] | None = self._connection.execute(query, values).fetchone()
        return found

    def _is_writing(self) -> bool:
        return self._connection.in_transaction

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if not schema.is_worlds_fault(error):
                raise
            raise schema.error_of(error, self._path) from error

    def fact(self, key: str) -> str | None:
        """A value that the project remembers."""
        row = self.row("SELECT value FROM facts WHERE key = ?", (key,))
        return None if row is None else str(row[0])

    def set_fact(self, key: str, value: str) -> None:
        """Remember a value."""
        with self.transaction():
            self.write("INSERT OR REPLACE INTO facts VALUES (?, ?)", (key, value))

    def log(self, kind: str, **payload: Any) -> None:
        """Add an event; Unicode that cannot be stored survives as JSON escapes."""
        with self.transaction():
            self.write(
                "INSERT INTO events (kind, created, payload) VALUES (?, ?, ?)",
                (kind, now(), json.dumps(payload, default=str)),
            )

    def events(self, *, kind: str | None = None, limit: int = 1000) -> list[Event]:
        """The newest events, oldest of them first."""
        where = "" if kind is None else "WHERE kind = ?"
        values = () if kind is None else (kind,)
        query = f"SELECT id, kind, created, payload FROM events {where} ORDER BY id DESC LIMIT ?"
        found = self.rows(query, (*values, limit))
        return [Event(event_id, kind, created, json.loads(payload)) for event_id, kind, created, payload in found[::-1]]
