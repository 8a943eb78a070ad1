"""What the world does to a project: kills, full disks, flipped bits, foreign hands."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from labeler import masks, pixels, provenance, schema, volume
from labeler.bundle import Bundle
from labeler.editing import MaskEditor
from labeler.errors import LabelerError, MaskError, ProjectError, ProjectLocked, SettingsError, StorageError
from labeler.files import sha256_of
from labeler.journal import Journal
from labeler.project import Project
from labeler.rebuild import rebuild
from labeler.records import (
    ImageState,
    LabelOrigin,
    LabelRecord,
    Mask,
    PredictionRecord,
    Split,
    StreamItem,
    VersionStatus,
)

HEIGHT, WIDTH = 24, 31

# Commits labels for ever and tells each one that is acknowledged; edits are journalled before each commit.
_WRITER = """
import sys
from pathlib import Path
from labeler.editing import MaskEditor
from labeler.journal import Journal
from labeler.project import Project
from labeler.records import LabelOrigin, Split
import numpy as np

with Project.open(Path(sys.argv[1])) as project:
    print("ready", flush=True)
    number = int(sys.argv[2])
    while True:
        number += 1
        image_id = number % 5 + 1
        mask = np.random.default_rng(number).integers(0, 2, (24, 31), dtype=np.uint8)
        journal = Journal.start(project.journal_path(image_id), np.zeros_like(mask))
        editor = MaskEditor(np.zeros_like(mask))
        patch = editor.replace(mask, "random")
        journal.append(patch)
        print("drawn", image_id, number, flush=True)
        label = project.commit_label(image_id, mask, origin=LabelOrigin.CORRECTED, split=Split.CORE)
        print("label", image_id, number, label.revision, flush=True)
        journal.discard()
        project.set_champion(number % 2 + 1)
        project.log("tick", number=number)
        project.regate(0.5 + number % 2 / 10)
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.create(tmp_path / "project") as opened:
        opened.add([item(tmp_path, n) for n in range(5)])
        yield opened


def item(folder: Path, number: int) -> StreamItem:
    path = folder / f"{number}.png"
    path.write_bytes(b"image %d" % number)
    return StreamItem(path, sha256_of(path.read_bytes()), WIDTH, HEIGHT)


def noise(seed: int) -> Mask:
    return np.random.default_rng(seed).integers(0, 2, (HEIGHT, WIDTH), dtype=np.uint8)


def commit(project: Project, image_id: int, mask: Mask) -> LabelRecord:
    return project.commit_label(image_id, mask, origin=LabelOrigin.CORRECTED, split=Split.CORE)


def tree(folder: Path) -> dict[str, str]:
    """Hash of every file that holds somebody's work."""
    kept = (path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
    return {
        str(path.relative_to(folder)): sha256_of(path.read_bytes())
        for path in kept
        if not path.name.startswith("catalogue.sqlite-")
    }


def add_versions(project: Project) -> None:
    for version in (1, 2):
        path = project.models_folder / f"{version:04d}.safetensors"
        path.write_bytes(b"weights")
        project.add_version(
            path,
            sha256=sha256_of(b"weights"),
            parent=None,
            status=VersionStatus.CHAMPION,
            core_count=1,
            holdout_count=1,
            holdout_iou=None,
            core_iou=None,
            metrics={},
        )


# Kills


class Writer:
    """A child process that commits labels until it is killed."""

    def __init__(self, folder: Path, first: int) -> None:
        command = [sys.executable, "-c", _WRITER, str(folder), str(first)]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout is not None
        self.lines = self.process.stdout
        assert self.lines.readline() == "ready\n"

    def kill_after(self, seconds: float) -> list[list[str]]:
        """What it has told until then."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        self.process.kill()
        told = [line.split() for line in self.lines if line.endswith("\n")]
        self.lines.close()
        self.process.wait()
        return told


@pytest.mark.skipif(os.name == "nt", reason="there is no kill -9")
def test_kill_at_any_moment_loses_nothing_that_was_acknowledged(project: Project) -> None:
    add_versions(project)
    project.close()
    rng = random.Random(20)
    acknowledged: dict[tuple[int, int], int] = {}
    first = 0
    for _ in range(8):
        told = Writer(project.folder, first).kill_after(rng.uniform(0.0, 0.25))
        first += 1000
        for line in told:
            if line[0] == "label":
                acknowledged[int(line[1]), int(line[3])] = int(line[2])
        with Project.open(project.folder) as opened:
            _check_after_kill(opened, acknowledged, told[-1] if told else [])
    assert len(acknowledged) > 20


def _check_after_kill(project: Project, acknowledged: dict[tuple[int, int], int], last: list[str]) -> None:
    for (image_id, revision), seed in acknowledged.items():
        path = project.folder / "masks" / f"{image_id}-{revision}.png"
        np.testing.assert_array_equal(masks.load(path), noise(seed))
    for label in project.labels():
        assert label.revision >= max((r for i, r in acknowledged if i == label.image_id), default=0)
        project.label_mask(label.image_id)
    assert project.events(kind="mask damaged") == []
    assert [version.status for version in project.versions()].count("champion") == 1
    assert project.settings.threshold in (0.5, 0.6, 0.8075)
    assert not list(project.folder.rglob("*.staged"))
    if last and last[0] == "drawn":  # the mask in hand is in the journal, or was committed just before the kill
        image_id, seed = int(last[1]), int(last[2])
        draft = Journal.replay(project.journal_path(image_id))
        found = project.label_mask(image_id) if draft is None else draft.mask()
        np.testing.assert_array_equal(found, noise(seed))


@pytest.mark.skipif(os.name == "nt", reason="there is no kill -9")
def test_lock_of_a_killed_process_is_taken_over(project: Project) -> None:
    project.close()
    writer = Writer(project.folder, 0)
    with pytest.raises(ProjectLocked, match=f"process {writer.process.pid} on"):
        Project.open(project.folder)
    writer.kill_after(0.0)
    with Project.open(project.folder) as opened:
        assert opened.counts().streamed == 5


@pytest.mark.skipif(os.name == "nt", reason="there is no fork")
def test_kill_in_mid_migration_leaves_the_old_schema(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.close()
    child = f"""
import os, sqlite3, sys
from pathlib import Path
from labeler import masks, pixels, provenance, schema, volume
schema.MIGRATIONS += ("UPDATE images SET skips = 9; CREATE TABLE half (x); INSERT INTO half SELECT die();",)
connect = schema._connect
def deadly(path):
    connection = connect(path)
    connection.create_function("die", 0, lambda: os.kill(os.getpid(), {int(signal.SIGKILL)}))
    return connection
schema._connect = deadly
schema.open_checked(Path(sys.argv[1]))
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", child, str(project.folder / "catalogue.sqlite")]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    with Project.open(project.folder) as opened:
        assert opened.image(1).skips == 0
        assert opened.counts().streamed == 5


def test_committed_draft_is_not_offered_again(project: Project) -> None:
    for image_id, drawn in ((1, noise(1)), (2, noise(2))):
        base = np.zeros((HEIGHT, WIDTH), np.uint8)
        patch = MaskEditor(base).replace(drawn, "polygon")
        assert patch is not None
        journal = Journal.start(project.journal_path(image_id), base)
        journal.append(patch)
        journal.close()
        commit(project, image_id, noise(1))
    os.utime(project.journal_path(1), ns=(0, 0))
    assert project.drafts() == [2, 1]  # the one drawn on last comes first
    project.close()
    with Project.open(project.folder) as again:
        assert again.drafts() == [2]


def test_draft_stays_where_its_committed_mask_is_damaged(project: Project) -> None:
    base = np.zeros((HEIGHT, WIDTH), np.uint8)
    patch = MaskEditor(base).replace(noise(1), "polygon")
    assert patch is not None
    journal = Journal.start(project.journal_path(1), base)
    journal.append(patch)
    journal.close()
    damage(commit(project, 1, noise(1)).mask_path, "cut")
    project.close()
    with Project.open(project.folder) as again:
        assert again.drafts() == [1]
        assert again.image(1).state is ImageState.QUEUED


def test_threshold_killed_between_file_and_rows_is_followed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    record = PredictionRecord(1, 1, 0.5, 0.5, 0.5, 0.1, "00" * 32)
    project.record_predictions([record], threshold=project.settings.threshold)
    with monkeypatch.context() as killed:
        killed.setattr(project.catalogue, "regate", lambda threshold: (0, 0))
        project.regate(0.25)
    project.close()
    with Project.open(project.folder) as again:
        assert again.settings.threshold == 0.25
        assert again.image(1).state is ImageState.ACCEPTED


# Forks itself for every moment: each child is killed at its k-th call into C while it commits, the parent looks.
_STEPPER = """
import os, signal, sys
from pathlib import Path
import numpy as np
from labeler.project import Project
from labeler.records import LabelOrigin, Split

folder, k, acknowledged, lost = Path(sys.argv[1]), 0, 0, 0

def noise(seed):
    return np.random.default_rng(seed).integers(0, 2, (24, 31), dtype=np.uint8)

def commit(seed, moment):
    project = Project.open(folder)
    count = 0
    def profile(frame, event, argument):
        nonlocal count
        count += event == "c_call"
        if count == moment:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.setprofile(profile)
    project.commit_label(1, noise(seed), origin=LabelOrigin.CORRECTED, split=Split.CORE)
    sys.setprofile(None)
    os._exit(0)

while not acknowledged:
    k += 1 + k // 12
    child = os.fork()
    if child == 0:
        commit(k, k)
    acknowledged = os.waitpid(child, 0)[1] == 0
    with Project.open(folder) as project:
        found = project.label_mask(1)
        new, old = np.array_equal(found, noise(k)), np.array_equal(found, noise(lost))
        assert new or (old and not acknowledged), k
        assert project.events(kind="mask damaged") == [] and not list(folder.rglob("*.staged")), k
        lost = k if new else lost
print(k)
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no fork")
def test_kill_at_each_step_of_a_commit_leaves_old_or_new(project: Project) -> None:
    commit(project, 1, noise(0))
    project.close()
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", _STEPPER, str(project.folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100  # calls that a commit makes: it was killed in the middle, not before


# Wrong masks


@pytest.mark.parametrize(
    "mask",
    [
        np.zeros((HEIGHT, WIDTH + 1), np.uint8),
        np.zeros((WIDTH, HEIGHT), np.uint8),
        np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        np.full((HEIGHT, WIDTH), 2, np.uint8),
        np.full((HEIGHT, WIDTH), 257, np.int64),
        np.full((HEIGHT, WIDTH), -1, np.int8),
        np.full((HEIGHT, WIDTH), 0.5),
    ],
    ids=["width", "turned", "colour", "class", "wrapped class", "negative", "float"],
)
def test_wrong_mask_is_refused_and_the_old_one_kept(project: Project, mask: Mask) -> None:
    commit(project, 1, noise(1))
    before = tree(project.folder)
    with pytest.raises(MaskError):
        commit(project, 1, mask)
    assert tree(project.folder) == before
    np.testing.assert_array_equal(project.label_mask(1), noise(1))


# Damaged masks


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "deleted":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.write_bytes(content[:-30] + bytes([content[-30] ^ 1]) + content[-29:])


@pytest.mark.parametrize("how", ["deleted", "empty", "cut", "flipped"])
def test_damaged_mask_gives_way_to_the_revision_before(project: Project, how: str) -> None:
    commit(project, 1, noise(1))
    newest = commit(project, 1, noise(2))
    damage(newest.mask_path, how)
    np.testing.assert_array_equal(project.label_mask(1), noise(1))
    (event,) = project.events(kind="mask damaged")
    assert (event.payload["revision"], event.payload["restored"]) == (2, 1)
    assert newest.mask_path.with_name("1-2.png.damaged").exists() == (how != "deleted")
    assert project.labels()[0].revision == 1
    assert commit(project, 1, noise(3)).revision == 3


def test_image_whose_only_mask_is_damaged_waits_for_a_person(project: Project) -> None:
    label = commit(project, 1, noise(1))
    damage(label.mask_path, "cut")
    with pytest.raises(MaskError, match="no sound mask"):
        project.label_mask(1)
    assert project.image(1).state is ImageState.QUEUED
    assert project.labels() == []
    assert commit(project, 1, noise(2)).revision == 2
    assert project.image(1).state is ImageState.LABELLED


def test_image_that_was_in_core_never_judges_after_its_mask_was_lost(project: Project) -> None:
    damage(commit(project, 1, noise(1)).mask_path, "cut")
    with pytest.raises(MaskError):
        project.label_mask(1)
    label = project.commit_label(1, noise(2), origin=LabelOrigin.CORRECTED, split=Split.HOLDOUT)
    assert label.split is Split.CORE


def test_disk_that_does_not_answer_is_no_damage(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(project, 1, noise(1))

    def refuse(path: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as away:
        away.setattr(Path, "read_bytes", refuse)
        with pytest.raises(StorageError, match="Input/output error"):
            project.label_mask(1)
    np.testing.assert_array_equal(project.label_mask(1), noise(1))


# Full disks


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_full_disk_keeps_the_old_revision(project: Project, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    commit(project, 1, noise(1))
    before = tree(project.folder)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(*((os, "fsync", refuse) if call == "fsync" else (Path, call, refuse)))
        with pytest.raises(StorageError, match="No space left"):
            commit(project, 1, noise(2))
        with pytest.raises(StorageError, match="No space left"):
            project.regate(0.1)
    assert tree(project.folder) == before
    assert project.settings.threshold == 0.8075
    np.testing.assert_array_equal(project.label_mask(1), noise(1))
    assert commit(project, 1, noise(2)).revision == 2


def test_full_catalogue_keeps_the_old_revision(project: Project) -> None:
    commit(project, 1, noise(1))
    connection = project._database._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")

    def fill() -> None:
        for _ in range(5000):
            project.log("filling", text="x" * 3000)

    def commit_and_fill() -> None:
        with project._database.transaction():
            commit(project, 1, noise(2))
            project.log("filling", text="x" * 9000)

    for work in (fill, commit_and_fill):
        with pytest.raises(StorageError, match="full"):
            work()
    assert project.labels()[0].revision == 1
    np.testing.assert_array_equal(project.label_mask(1), noise(1))
    connection.execute("PRAGMA max_page_count = 1000000")
    assert commit(project, 1, noise(3)).revision == 2
    np.testing.assert_array_equal(project.label_mask(1), noise(3))


@pytest.mark.skipif(os.name == "nt", reason="there is no RLIMIT_FSIZE")
def test_file_size_limit_is_a_clear_message_and_no_loss(project: Project) -> None:
    commit(project, 1, noise(1))
    project.close()
    child = """
import resource, sys
from pathlib import Path
import numpy as np
from labeler.errors import StorageError
from labeler.project import Project
from labeler.records import LabelOrigin, Split

with Project.open(Path(sys.argv[1])) as project:
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))
    try:
        project.commit_label(1, np.ones((24, 31), np.uint8), origin=LabelOrigin.CORRECTED, split=Split.CORE)
    except StorageError as error:
        print(error)
    try:
        for n in range(100):
            project.log("filling")
    except StorageError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", child, str(project.folder)], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("free some space") == 2, done
    with Project.open(project.folder) as opened:
        np.testing.assert_array_equal(opened.label_mask(1), noise(1))
        assert opened.labels()[0].revision == 1


# Foreign hands


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("format = 1\n[settings]\nthreshold = 2\n", SettingsError, "threshold"),
        ("format = 1\n[settings]\nmood = 2\n", SettingsError, "mood"),
        ("format = 2\n", ProjectError, "update labeler"),
        ("format = 'x'\n", ProjectError, "format"),
        ("format = 1\nsources = 3\n", ProjectError, "sources"),
        ("format = 1\nsettings = 3\n", ProjectError, "settings"),
        ("format = \n", ProjectError, "damaged"),
        ("\0\0\0", ProjectError, "damaged"),
        ("", ProjectError, "format"),
    ],
)
def test_wrong_project_file_is_named_and_nothing_changed(
    project: Project, content: str, error: type[LabelerError], message: str
) -> None:
    project.close()
    (project.folder / "project.toml").write_text(content)
    before = tree(project.folder)
    with pytest.raises(error, match=message):
        Project.open(project.folder)
    assert tree(project.folder) == before


def test_damaged_catalogue_leaves_the_project_as_it_is_and_unlocked(project: Project) -> None:
    commit(project, 1, noise(1))
    project.close()
    path = project.folder / "catalogue.sqlite"
    sound = path.read_bytes()
    path.write_bytes(bytes(100) + sound[100:])
    before = tree(project.folder)
    for _ in range(2):  # the lock was let go
        with pytest.raises(ProjectError, match="damaged"):
            Project.open(project.folder)
    assert tree(project.folder) == before
    path.write_bytes(sound)
    with Project.open(project.folder) as opened:
        np.testing.assert_array_equal(opened.label_mask(1), noise(1))


def test_newer_project_is_left_alone(project: Project) -> None:
    project.close()
    with sqlite3.connect(project.folder / "catalogue.sqlite") as connection:
        connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    connection.close()
    before = tree(project.folder)
    with pytest.raises(ProjectError, match="update labeler"):
        Project.open(project.folder)
    assert tree(project.folder) == before


def test_clock_that_jumps_back_changes_no_order(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    stamps = iter(["2031-01-01T00:00:00", "1999-01-01T00:00:00", "2024-01-01T00:00:00"])
    monkeypatch.setattr(pixels, "now", lambda: next(stamps))
    for number in (1, 2, 3):
        commit(project, number, noise(number))
    assert [label.image_id for label in project.labels()] == [1, 2, 3]


_NETWORK = """\
sysfs /sys sysfs rw 0 0
/dev/sda1 / ext4 rw 0 0
server:/pool /mnt/my\\040pool nfs4 rw 0 0
/dev/sdb1 /mnt/my\\040pool/local xfs rw 0 0
//nas/share /mnt/nas cifs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/me", "ext4"),
        ("/mnt/my pool", "nfs4"),
        ("/mnt/my pool/p", "nfs4"),
        ("/mnt/my pool/local/p", "xfs"),
        ("/mnt/nas/p", "cifs"),
        ("/mnt/nas2/p", "ext4"),
    ],
)
def test_file_system_is_that_of_the_longest_mount_point(folder: str, kind: str) -> None:
    assert volume.filesystem_of(folder, _NETWORK) == kind


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/mounts")
def test_project_on_a_network_share_warns_and_uses_no_log(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert project.warning == ""
    project.close()
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/pool {os.path.realpath(tmp_path)} nfs4 rw 0 0\n")
    monkeypatch.setattr(volume, "_MOUNTS", mounts)
    with Project.open(project.folder) as shared:
        assert "nfs4" in shared.warning
        commit(shared, 1, noise(1))
        assert not list(shared.folder.glob("*-wal"))
    monkeypatch.undo()
    with Project.open(project.folder) as local:
        np.testing.assert_array_equal(local.label_mask(1), noise(1))


# A new catalogue


def test_catalogue_is_rebuilt_from_the_files(project: Project, tmp_path: Path) -> None:
    add_versions(project)
    commit(project, 2, noise(1))
    commit(project, 2, noise(2))
    project.commit_label(4, noise(4), origin=LabelOrigin.LOOKED, split=Split.HOLDOUT)
    labels = project.labels()
    with pytest.raises(ProjectLocked):
        rebuild(project.folder)
    project.close()
    catalogue = project.folder / "catalogue.sqlite"
    damaged = bytes(100) + catalogue.read_bytes()[100:]
    catalogue.write_bytes(damaged)
    (project.masks_folder / "9-1.png").write_bytes(masks.encode(noise(9)))
    found = rebuild(project.folder)
    assert (found.labels, found.versions) == (3, 2)
    assert [path.name for path in found.skipped] == ["9-1.png"]
    assert found.aside is not None
    assert found.aside.read_bytes() == damaged
    with Project.open(project.folder) as again:
        kept = ("image_id", "revision", "mask_sha256", "origin", "split", "created", "seconds")
        assert [[getattr(label, name) for name in kept] for label in again.labels()] == [
            [getattr(label, name) for name in kept] for label in labels
        ]
        np.testing.assert_array_equal(again.label_mask(2), noise(2))
        champion = again.champion()
        assert champion is not None
        assert champion.version == 2
        assert again.add([item(tmp_path, n) for n in range(5)]) == [5, 6, 7]
        assert again.resolve(2) == tmp_path / "1.png"
        assert commit(again, 2, noise(5)).revision == 3


def test_rebuilt_versions_have_the_figures_of_their_files_as_far_as_these_are_sound(project: Project) -> None:
    add_versions(project)
    told = {"core_count": 12, "holdout_count": 3, "holdout_iou": 0.75, "long": True, "core_iou": 7.0}
    told["bundle"] = json.loads(Bundle(None, 0.8).to_text())
    for name, metrics in (
        ("0001", told),
        ("0002", {"core_count": "many", "holdout_iou": None, "bundle": {"width": "x"}}),
    ):
        (project.models_folder / f"{name}.json").write_text(json.dumps({"metrics": metrics}))
    project.close()
    rebuild(project.folder)
    with Project.open(project.folder) as again:
        sound, crafted = again.versions()
        assert (sound.core_count, sound.holdout_count, sound.holdout_iou, sound.core_iou) == (12, 3, 0.75, None)
        assert sound.metrics == {"long": True}
        assert Bundle.from_text(sound.bundle).threshold == 0.8
        assert (crafted.core_count, crafted.holdout_iou, crafted.metrics, crafted.bundle) == (0, None, {}, "")


def test_missing_catalogue_is_rebuilt(project: Project) -> None:
    commit(project, 1, noise(1))
    project.close()
    for path in project.folder.glob("catalogue.sqlite*"):
        path.unlink()
    with pytest.raises(ProjectError, match="is missing"):
        Project.open(project.folder)
    assert rebuild(project.folder).aside is None
    with Project.open(project.folder) as again:
        np.testing.assert_array_equal(again.label_mask(1), noise(1))


def test_masks_with_crafted_facts_are_skipped(project: Project) -> None:
    path = commit(project, 1, noise(1)).mask_path
    project.close()
    plain, facts = masks.encode(noise(1)), provenance.facts_of(path.read_bytes())
    assert facts is not None
    crafted = [
        facts | {"origin": "rumour"},
        facts | {"image_sha256": "zz"},
        facts | {"seconds": "soon"},
        facts | {"model_version": [1]},
        facts | {"image_sha256": "ab" * 32},
        {},
        {"path": 3},
    ]
    for number, content in enumerate(crafted, start=2):
        (project.masks_folder / f"1-{number}.png").write_bytes(provenance.with_facts(plain, content))
    found = rebuild(project.folder)
    assert (found.labels, len(found.skipped)) == (1, len(crafted))


@pytest.mark.parametrize("facts", [{}, {"a": "é\udcff", "n": [1, None]}])
def test_facts_leave_the_pixels_alone(facts: dict[str, object]) -> None:
    png = masks.encode(noise(3))
    stamped = provenance.with_facts(png, facts)
    assert provenance.facts_of(stamped) == facts
    np.testing.assert_array_equal(masks.decode(stamped, name="x"), noise(3))
    assert provenance.facts_of(png) is None
    assert provenance.facts_of(stamped[:40]) is None
    assert provenance.facts_of(b"") is None
