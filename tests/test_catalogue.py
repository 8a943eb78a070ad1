"""The catalogue's file: damage, versions, migrations, and statements that stay short."""

from __future__ import annotations

import contextlib
import hashlib
import math
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from labeler import schema
from labeler.catalogue import Catalogue
from labeler.database import Database
from labeler.errors import ProjectError, StorageError
from labeler.project import Project
from labeler.records import Counts, ImageState, LabelOrigin, PredictionRecord, StreamItem

PATH = "catalogue.sqlite"
TABLES = ("folders", "files", "images", "labels", "versions", "rounds", "events", "facts", "tallies")


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    database = Database(schema.create(tmp_path / PATH), tmp_path / PATH)
    yield Catalogue(database, home=tmp_path)
    database.close()


def items(first: int, count: int) -> list[StreamItem]:
    return [
        StreamItem(Path(f"/data/{n % 9}/{n}.png"), hashlib.sha256(str(n).encode()).hexdigest(), 64, 48)
        for n in range(first, first + count)
    ]


def closed(tmp_path: Path, *, images: int = 50) -> Path:
    """The path of a sound catalogue that nobody has open."""
    path = tmp_path / PATH
    database = Database(schema.create(path), path)
    Catalogue(database, home=tmp_path).add(items(0, images))
    database.close()
    return path


def test_counts_follow_every_change(catalogue: Catalogue) -> None:
    ids = catalogue.add(items(0, 10))
    records = [PredictionRecord(i, 1, i / 10, 0.5, 0.5, 0.1, "00" * 32) for i in ids]
    catalogue.record_predictions(records, threshold=0.75, champion=None)
    catalogue.set_state(ids[0], ImageState.EXCLUDED, reason="")
    catalogue.regate(0.55)
    assert catalogue.counts() == Counts(streamed=10, queued=4, accepted=5, excluded=1)


def test_failed_batch_leaves_no_row(catalogue: Catalogue) -> None:
    catalogue.add(items(0, 3))
    broken = [*items(3, 3), StreamItem(Path("/new folder/x.png"), "no hex", 1, 1)]
    with pytest.raises(ValueError, match="hex"):
        catalogue.add(broken)
    assert catalogue.counts().streamed == 3
    fresh = StreamItem(Path("/new folder/y.png"), "ab" * 32, 1, 1)
    (image_id,) = catalogue.add([*items(3, 0), fresh])
    assert catalogue.image(image_id).path == fresh.path


def test_statements_use_indices(catalogue: Catalogue, tmp_path: Path) -> None:
    catalogue.add(items(0, 2000))
    with sqlite3.connect(tmp_path / PATH) as connection:
        plans = [
            connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
            for query in (
                "UPDATE images SET state = 'accepted' WHERE state IN ('queued', 'pool') AND confidence >= 0.5",
                "SELECT id FROM images i WHERE i.state = 'queued' AND i.model_version IS NOT 3 "
                "ORDER BY i.confidence, i.id LIMIT 64",
                "SELECT count(*) FROM images WHERE state IN ('queued', 'pool') AND model_version IS NOT 3",
                "SELECT id FROM images WHERE sha256 = x'00'",
                "SELECT id FROM files WHERE image_id = 5 AND id <> 3",
            )
        ]
    connection.close()
    for plan in plans:
        assert all("SEARCH" in step[3] for step in plan), plan


def test_short_statements_at_many_images(catalogue: Catalogue) -> None:
    ids = catalogue.add(items(0, 20_000))
    catalogue.record_predictions(
        [PredictionRecord(i, 1, (i % 997) / 997, 0.5, 0.5, 0.1, "00" * 32) for i in ids], threshold=0.8, champion=1
    )
    started = time.perf_counter()
    for n in range(20):
        catalogue.counts()
        catalogue.image(ids[n])
        catalogue.to_predict(2, limit=64)
        catalogue.candidates.lowest("confidence", [ImageState.QUEUED], 64)
    # 80 statements; a full scan in each would take some 5 ms apiece on a quiet machine.
    assert time.perf_counter() - started < 1.0


def test_signals_come_back_with_image_and_prediction(catalogue: Catalogue) -> None:
    (image_id,) = catalogue.add(items(0, 1))
    signals = {"entropy": 0.123456789, "area": 40.0, "broken": math.nan}
    record = PredictionRecord(image_id, 1, 0.9, 0.9, 1.0, 0.1, "00" * 32, signals)
    catalogue.record_predictions([record], threshold=0.8, champion=1)
    kept = {"entropy": pytest.approx(0.123457), "area": 40.0}
    assert catalogue.image(image_id).signals == kept
    prediction = catalogue.prediction(image_id)
    assert prediction is not None
    assert prediction.signals == kept
    catalogue.set_state(image_id, ImageState.POOL, reason="")
    assert catalogue.image(image_id).signals == {}


def test_embeddings_are_of_one_version_and_in_the_order_asked(catalogue: Catalogue) -> None:
    ids = catalogue.add(items(0, 4))
    vectors = np.eye(4, 8, dtype=np.float32)

    def predict(numbers: list[int], version: int) -> None:
        records = [
            PredictionRecord(ids[n], version, 0.5, 0.5, 0.5, 0.1, "00" * 32, embedding=vectors[n]) for n in numbers
        ]
        catalogue.record_predictions(records, threshold=0.8, champion=2)

    assert catalogue.embeddings.read(ids, version=1).shape == (4, 0)
    predict([0, 1, 2], version=1)
    predict([2, 3], version=2)
    predict([3], version=1)  # late: does not replace the champion's
    assert np.array_equal(
        catalogue.embeddings.read([ids[3], ids[0], ids[2]], version=2), vectors[[3, 0, 2]] * [[1], [0], [1]]
    )
    assert np.array_equal(catalogue.embeddings.read(ids, version=1), vectors * [[1], [1], [0], [0]])
    assert catalogue.embeddings.read(ids, version=None).shape == (4, 0)


# The file


def test_missing_catalogue_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"catalogue\.sqlite: is missing"):
        schema.open_checked(tmp_path / PATH)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["empty", "header", "page", "half", "text", "foreign"])
def test_damaged_catalogue_is_refused_and_left_alone(tmp_path: Path, damage: str) -> None:
    path = closed(tmp_path, images=500)
    content = bytearray(path.read_bytes())
    if damage == "empty":
        content.clear()
    elif damage == "header":
        content[:100] = bytes(100)
    elif damage == "page":
        for page in range(4096, len(content) - 4096, 8192):
            content[page : page + 2000] = b"\xa5" * 2000
    elif damage == "half":
        del content[len(content) // 2 :]
    elif damage == "text":
        content[:] = b"not a database " * 999
    else:
        path.unlink()
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE t (x)")
        connection.close()
        content[:] = path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(ProjectError, match=r"damaged|not a catalogue"):
        schema.open_checked(path)
    assert path.read_bytes() == content


def test_lost_write_ahead_log_leaves_a_sound_catalogue(tmp_path: Path) -> None:
    path = closed(tmp_path)
    database = Database(schema.open_checked(path), path)
    Catalogue(database, home=tmp_path).add(items(100, 300))
    before_the_log = path.read_bytes()
    database.close()
    path.write_bytes(before_the_log)
    database = Database(schema.open_checked(path), path)
    assert Catalogue(database, home=tmp_path).counts().streamed == 50
    database.close()


def test_log_of_another_catalogue_is_never_half_believed(tmp_path: Path) -> None:
    path = closed(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    database = Database(schema.create(other / PATH), other / PATH)
    Catalogue(database, home=other).add(items(100, 300))
    foreign = (other / f"{PATH}-wal").read_bytes()
    database.close()
    (tmp_path / f"{PATH}-wal").write_bytes(foreign)
    content = path.read_bytes()
    try:
        database = Database(schema.open_checked(path), path)
    except ProjectError:
        assert path.read_bytes() == content
    else:
        catalogue = Catalogue(database, home=tmp_path)
        assert len(catalogue.images()) == catalogue.counts().streamed
        database.close()


def test_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = closed(tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    connection.close()
    content = path.read_bytes()
    with pytest.raises(ProjectError, match="newer labeler"):
        schema.open_checked(path)
    assert path.read_bytes() == content


def test_older_schema_is_backed_up_and_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = closed(tmp_path)
    old = len(schema.MIGRATIONS)
    monkeypatch.setattr(
        schema,
        "MIGRATIONS",
        (*schema.MIGRATIONS, "ALTER TABLE images ADD COLUMN mood TEXT; UPDATE images SET skips = 7;"),
    )
    database = Database(schema.open_checked(path), path)
    assert Catalogue(database, home=tmp_path).image(1).skips == 7
    database.close()
    monkeypatch.undo()
    backup = tmp_path / f"catalogue.v{old}.sqlite"
    database = Database(schema.open_checked(backup), backup)
    assert Catalogue(database, home=tmp_path).image(1).skips == 0
    assert Catalogue(database, home=tmp_path).counts().streamed == 50
    database.close()
    with pytest.raises(ProjectError, match="newer"):
        schema.open_checked(path)


def test_project_of_the_first_schema_opens_without_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "project"
    Project.create(folder).close()
    path = folder / PATH
    path.unlink()
    with monkeypatch.context() as before:
        before.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        schema.create(path).close()
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript("""
            INSERT INTO folders VALUES (1, 'images', 1);
            INSERT INTO files VALUES (1, 1, 'a.png', 5, 6.0, 1), (2, 1, 'b.png', 5, 6.0, 2);
            INSERT INTO images (id, sha256, file_id, width, height, state, skips) VALUES (1, x'aa', 1, 4, 3, 'pool', 2);
            INSERT INTO images (id, sha256, file_id, width, height, state, label_id, model_version, confidence,
                                soft_iou, stability, foreground, prediction_sha256)
                VALUES (2, x'bb', 2, 4, 3, 'labelled', 1, 3, 0.5, 0.625, 0.75, 0.25, x'cc');
            INSERT INTO labels VALUES (1, 2, 1, x'dd', 1, 'corrected', 'core', 9.5, 'then', 0.5, 0.4, 3, 0);
            INSERT INTO events (kind, created, payload) VALUES ('skipped', 'then', '{"image": 1}');
        """)
        rows = {table: old.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}
    with Project.open(folder) as project:
        waiting, labelled = project.images()
        assert (waiting.state, waiting.skips, waiting.signals) == (ImageState.POOL, 2, {})
        assert (labelled.origin, labelled.confidence, labelled.soft_iou) == (LabelOrigin.CORRECTED, 0.5, 0.625)
        assert project.counts() == Counts(streamed=2, pool=1, labelled=1, core=1)
        assert project.catalogue.embeddings.read([1, 2], version=3).shape == (2, 0)
    with contextlib.closing(sqlite3.connect(path)) as new:
        for table, before_rows in rows.items():
            found = new.execute(f"SELECT * FROM {table}").fetchall()
            kept_rows = zip(found, before_rows, strict=False)  # opening it adds an event
            assert len(found) >= len(before_rows)
            assert [row[: len(old_row)] for row, old_row in kept_rows] == before_rows
    with contextlib.closing(sqlite3.connect(folder / "catalogue.v1.sqlite")) as kept:
        assert kept.execute("PRAGMA user_version").fetchone() == (1,)
        assert kept.execute("SELECT count(*) FROM images").fetchone() == (2,)


def test_failed_migration_leaves_the_old_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = closed(tmp_path)
    with monkeypatch.context() as patched:
        script = "UPDATE images SET skips = 7; ALTER TABLE images ADD COLUMN mood TEXT; SELECT nonsense;"
        patched.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, script))
        with pytest.raises(sqlite3.OperationalError):
            schema.open_checked(path)
    database = Database(schema.open_checked(path), path)
    assert Catalogue(database, home=tmp_path).image(1).skips == 0
    database.close()


def test_migration_on_a_full_disk_leaves_the_old_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = closed(tmp_path)

    def refuse(path: Path, payload: bytes) -> None:
        raise StorageError(f"{path}: cannot be written (disk full)")

    with monkeypatch.context() as full:
        full.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "UPDATE images SET skips = 7;"))
        full.setattr(schema, "write_atomically", refuse)
        with pytest.raises(StorageError):
            schema.open_checked(path)
    database = Database(schema.open_checked(path), path)
    assert Catalogue(database, home=tmp_path).image(1).skips == 0
    database.close()


def test_long_event_log_opens_at_once(tmp_path: Path) -> None:
    path = closed(tmp_path)
    database = Database(schema.open_checked(path), path)
    with database.transaction():
        database.write_many(
            "INSERT INTO events (kind, created, payload) VALUES (?, '', ?)",
            ((f"kind {n % 7}", '{"image": 1}') for n in range(100_000)),
        )
    database.close()
    started = time.perf_counter()
    database = Database(schema.open_checked(path), path)
    assert len(database.events(kind="kind 3", limit=10)) == 10
    assert time.perf_counter() - started < 1.0
    database.close()
