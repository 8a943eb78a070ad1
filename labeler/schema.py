"""The tables of the catalogue, and how a file on disk becomes a sound connection of this version."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

from labeler.errors import CatalogueDamaged, LabelerError, ProjectError, StorageError
from labeler.files import write_atomically
from labeler.volume import network_share

APPLICATION_ID = 0x6C61626C  # "labl": tells our files from any other SQLite file

_V1 = """
-- Where images lie. A folder is one row, so that 1e6 paths stay small and a moved folder is one update.
CREATE TABLE folders (
    id INTEGER PRIMARY KEY,
    path NOT NULL,              -- TEXT, or BLOB of os.fsencode where it is not Unicode
    inside INTEGER NOT NULL,    -- 1: relative to the project, with "/"; 0: absolute
    UNIQUE (path, inside)
);
CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    folder_id INTEGER NOT NULL REFERENCES folders (id),
    name NOT NULL,
    size INTEGER NOT NULL,
    mtime REAL NOT NULL,
    image_id INTEGER,           -- what was seen there last; images.file_id is where the image is used from
    UNIQUE (folder_id, name)
);
CREATE INDEX files_by_image ON files (image_id);
-- One row an image, with the figures of its current prediction: gate and queue are one index scan.
CREATE TABLE images (
    id INTEGER PRIMARY KEY,
    sha256 BLOB UNIQUE,         -- of the file's bytes; NULL where it never could be read
    file_id INTEGER NOT NULL REFERENCES files (id),
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    note TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL
        CHECK (state IN ('pool', 'queued', 'accepted', 'labelled', 'excluded', 'unreadable')),
    reason TEXT NOT NULL DEFAULT '',
    skips INTEGER NOT NULL DEFAULT 0,
    label_id INTEGER REFERENCES labels (id),
    model_version INTEGER,
    confidence REAL,
    soft_iou REAL,
    stability REAL,
    foreground REAL,
    prediction_sha256 BLOB
);
CREATE INDEX images_by_state ON images (state, confidence, id, model_version);
CREATE TABLE labels (
    id INTEGER PRIMARY KEY,
    image_id INTEGER NOT NULL REFERENCES images (id),
    revision INTEGER NOT NULL,
    mask_sha256 BLOB NOT NULL,
    highest_class INTEGER NOT NULL,
    origin TEXT NOT NULL,
    split TEXT NOT NULL CHECK (split IN ('core', 'holdout')),
    seconds REAL NOT NULL,
    created TEXT NOT NULL,
    confidence REAL,
    iou REAL,
    model_version INTEGER,
    damaged INTEGER NOT NULL DEFAULT 0,
    UNIQUE (image_id, revision)
);
CREATE TABLE versions (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    parent INTEGER,
    status TEXT NOT NULL CHECK (status IN ('champion', 'retired', 'rejected')),
    core_count INTEGER NOT NULL,
    holdout_count INTEGER NOT NULL,
    holdout_iou REAL,
    core_iou REAL,
    created TEXT NOT NULL,
    metrics TEXT NOT NULL
);
CREATE UNIQUE INDEX one_champion ON versions (status) WHERE status = 'champion';
CREATE TABLE rounds (
    id INTEGER PRIMARY KEY,
    started TEXT NOT NULL,
    seconds REAL NOT NULL,
    steps INTEGER NOT NULL,
    core_count INTEGER NOT NULL,
    version INTEGER,
    published INTEGER NOT NULL,
    champion_iou REAL,
    challenger_iou REAL,
    reason TEXT NOT NULL
);
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    created TEXT NOT NULL,
    payload TEXT NOT NULL
);
CREATE INDEX events_by_kind ON events (kind);
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- The status strip asks for the counts after every action; counting 1e6 rows would take 50 ms each time.
CREATE TABLE tallies (state TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO tallies (state, n)
    VALUES ('pool', 0), ('queued', 0), ('accepted', 0), ('labelled', 0), ('excluded', 0), ('unreadable', 0);
CREATE TRIGGER tally_added AFTER INSERT ON images BEGIN
    UPDATE tallies SET n = n + 1 WHERE state = new.state;
END;
CREATE TRIGGER tally_removed AFTER DELETE ON images BEGIN
    UPDATE tallies SET n = n - 1 WHERE state = old.state;
END;
CREATE TRIGGER tally_changed AFTER UPDATE OF state ON images WHEN old.state <> new.state BEGIN
    UPDATE tallies SET n = n - 1 WHERE state = old.state;
    UPDATE tallies SET n = n + 1 WHERE state = new.state;
END;
"""

_V2 = """
-- What else is known of the current prediction: a JSON object of name and number, '' where there is none.
ALTER TABLE images ADD COLUMN signals TEXT NOT NULL DEFAULT '';
-- What an image looks like to a model version, or (NULL) before any. A table of its own: lists and gate read images
-- row by row and would drag the vectors along.
CREATE TABLE embeddings (
    image_id INTEGER PRIMARY KEY REFERENCES images (id) ON DELETE CASCADE,
    model_version INTEGER,
    vector BLOB NOT NULL        -- float16
);
"""

_V3 = """
-- 1: the image was drawn for the holdout by a coin before any score; a person labels it, whatever the model thinks.
ALTER TABLE images ADD COLUMN probe INTEGER NOT NULL DEFAULT 0;
-- 1: only a person decides on it: a probe, or an audit found its mask wrong.
ALTER TABLE images ADD COLUMN reserved INTEGER NOT NULL DEFAULT 0;
-- The newest model version that looked at an accepted mask again and let it stand.
ALTER TABLE images ADD COLUMN swept_version INTEGER;
DROP INDEX images_by_state;
CREATE INDEX images_by_state ON images (state, confidence, id, model_version, swept_version);
CREATE INDEX images_reserved ON images (state) WHERE reserved = 1;
-- Calibrator, threshold and core vectors of a version, as JSON; '' where it has none.
ALTER TABLE versions ADD COLUMN bundle TEXT NOT NULL DEFAULT '';
-- A time in which audits are drawn with one probability. The hash of the seed is written down before the first coin.
CREATE TABLE epochs (
    epoch INTEGER PRIMARY KEY,
    rate REAL NOT NULL,
    below REAL NOT NULL,        -- IoU below which a mask is wrong
    alarm INTEGER NOT NULL,     -- 1: opened by an alarm, and a person has not said yet to go on
    seed BLOB NOT NULL,
    seed_sha256 TEXT NOT NULL,
    reason TEXT NOT NULL,
    created TEXT NOT NULL
);
-- One row each time a mask is accepted without a look; a changed mask is a new row with a new coin.
CREATE TABLE accepts (
    id INTEGER PRIMARY KEY,
    image_id INTEGER NOT NULL REFERENCES images (id),
    model_version INTEGER NOT NULL,
    mask_sha256 BLOB NOT NULL,
    confidence REAL,
    coin INTEGER NOT NULL,      -- 1: to be audited
    stratum TEXT NOT NULL CHECK (stratum IN ('mask', 'empty')),
    epoch INTEGER NOT NULL REFERENCES epochs (epoch),
    created TEXT NOT NULL,
    UNIQUE (image_id, mask_sha256)
);
CREATE INDEX accepts_heads ON accepts (image_id) WHERE coin = 1;
CREATE TABLE audits (
    id INTEGER PRIMARY KEY,
    accept_id INTEGER NOT NULL REFERENCES accepts (id),
    answer TEXT NOT NULL CHECK (answer IN ('right', 'wrong')),
    seconds REAL NOT NULL,
    label_id INTEGER REFERENCES labels (id),    -- the mask that took the place of a wrong one
    repeat_of INTEGER REFERENCES audits (id),
    created TEXT NOT NULL
);
CREATE INDEX audits_by_accept ON audits (accept_id);
-- The uncalibrated score of each image by the model that was in use when it came; NULL: it came before these rows.
CREATE TABLE sights (
    id INTEGER PRIMARY KEY,
    image_id INTEGER NOT NULL UNIQUE REFERENCES images (id) ON DELETE CASCADE,
    model_version INTEGER,
    score REAL
);
INSERT INTO sights (image_id) SELECT id FROM images WHERE model_version IS NOT NULL ORDER BY id;
"""

# Script n takes a catalogue from user_version n to n + 1. Scripts that were released are never edited.
MIGRATIONS: tuple[str, ...] = (_V1, _V2, _V3)


def create(path: Path) -> sqlite3.Connection:
    """A new, empty catalogue at ``path``, which must not exist."""
    if path.exists():
        raise ProjectError(f"{path}: exists already; choose another folder")
    connection = _connect(path)
    _migrate(connection, path)
    return connection


def open_checked(path: Path) -> sqlite3.Connection:
    """A connection to a catalogue that was found sound; older ones are backed up and migrated.

    ProjectError where the file is missing, damaged, foreign or newer: then it has not been touched.
    """
    if not path.is_file():
        raise CatalogueDamaged(f"{path}: is missing; put a copy back, or run `labeler rebuild`")
    version = _inspect(path)
    connection = _connect(path)
    if version < len(MIGRATIONS):
        try:
            _back_up(connection, path, version)
            _migrate(connection, path)
        except LabelerError:
            connection.close()
            raise
    return connection


def reader(path: Path) -> sqlite3.Connection:
    """One more connection to a catalogue that is open, for another thread, which may only read."""
    try:
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5.0)
    except sqlite3.Error as error:
        raise error_of(error, path) from error


def copy(path: Path, target: Path) -> None:
    """A copy of a catalogue as it is now, taken without writing beside it; StorageError where that is impossible."""
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source,
            contextlib.closing(sqlite3.connect(target)) as copied,
        ):
            source.backup(copied)
    except sqlite3.Error as error:
        if _primary_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise error_of(error, path) from error
        # On a read-only disk SQLite cannot set up the log's index; but then nobody is writing either.
        try:
            for suffix in ("", "-wal"):
                if (file := path.with_name(path.name + suffix)).exists():
                    shutil.copyfile(file, target.with_name(target.name + suffix))
        except OSError as refused:
            why = refused.strerror or str(refused)
            raise StorageError(f"{path}: cannot be copied ({why}); free some space") from refused


def error_of(error: sqlite3.Error, path: Path) -> LabelerError:
    """What an SQLite error is in our tree: damage is the project's, all else the disk's."""
    if _primary_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return CatalogueDamaged(f"{path}: is damaged ({error}); put a copy back, or run `labeler rebuild`")
    return StorageError(f"{path}: cannot be used ({error}); free some space or check the folder's permissions")


def is_worlds_fault(error: sqlite3.Error) -> bool:
    """Whether disk, permissions or damage caused the error, and not a wrong statement of ours."""
    return isinstance(error, sqlite3.DatabaseError) and _primary_code(error) in _WORLDS_FAULTS


_WORLDS_FAULTS = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)


def _primary_code(error: sqlite3.Error) -> int:
    # The module sets the code on errors of SQLite itself only, not on those of its own binding.
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _inspect(path: Path) -> int:
    """The schema version of a sound file of ours, looked at without writing to it."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if application == APPLICATION_ID and version > len(MIGRATIONS):
                raise ProjectError(f"{path}: was written by a newer labeler (schema {version}); update labeler")
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        raise error_of(error, path) from error
    if verdict != "ok":
        raise CatalogueDamaged(f"{path}: is damaged ({verdict}); put a copy back, or run `labeler rebuild`")
    if application != APPLICATION_ID or version < 1:
        raise CatalogueDamaged(f"{path}: is no catalogue of labeler; put a copy back, or run `labeler rebuild`")
    return version


def _connect(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=5.0)
        # The log needs memory that all readers share, which a network share has not: slower there, as safe.
        connection.execute(f"PRAGMA journal_mode = {'DELETE' if network_share(path.parent) else 'WAL'}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA cache_size = -65536")
    except sqlite3.Error as error:
        raise error_of(error, path) from error
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """All missing scripts in one transaction: a kill in between leaves the old schema."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    scripts = "".join(MIGRATIONS[version:])
    marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {len(MIGRATIONS)};"
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {scripts} {marks} COMMIT;")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.rollback()
        connection.close()
        if not is_worlds_fault(error):
            raise
        raise error_of(error, path) from error


def _back_up(connection: sqlite3.Connection, path: Path, version: int) -> None:
    # The lock of the project keeps writers out, so that after the checkpoint the file is all there is.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    write_atomically(path.with_name(f"{path.stem}.v{version}{path.suffix}"), path.read_bytes())
