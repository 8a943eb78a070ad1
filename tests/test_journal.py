"""The journal of a mask being edited, and what a crash leaves of it."""

from __future__ import annotations

import base64
import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest

from labeler.editing import MaskEditor
from labeler.errors import StorageError
from labeler.journal import Journal
from labeler.records import Mask


@pytest.fixture
def base() -> Mask:
    mask = np.zeros((40, 60), np.uint8)
    mask[5:20, 5:20] = 1
    return mask


def stroke(editor: MaskEditor, journal: Journal, x: float, *, value: int = 1) -> None:
    editor.begin_stroke(value=value, diameter=5)
    editor.extend_stroke([(x, 10.0), (x + 8, 30.0)])
    patch = editor.end_stroke()
    assert patch is not None
    journal.append(patch)


def edited(path: Path, base: Mask) -> MaskEditor:
    """Four strokes, two undone, one redone; the journal is left open as by a crash."""
    editor, journal = MaskEditor(base), Journal.start(path, base)
    for number in range(4):
        stroke(editor, journal, 10.0 + 9 * number, value=1 + number)
    for step in (editor.undo, editor.undo, editor.redo):
        assert step() is not None
        journal.append("redo" if step == editor.redo else "undo")
    journal.close()
    return editor


def test_replay_gives_mask_and_undo_history(tmp_path: Path, base: Mask) -> None:
    editor = edited(tmp_path / "7.journal", base)
    draft = Journal.replay(tmp_path / "7.journal")
    assert draft is not None
    np.testing.assert_array_equal(draft.base, base)
    np.testing.assert_array_equal(draft.mask(), editor.mask)
    restored = MaskEditor(draft.base)
    restored.restore(draft.entries)
    assert restored.can_undo
    assert restored.can_redo
    for step in ("redo", "undo", "undo", "undo", "undo"):
        getattr(restored, step)()
        getattr(editor, step)()
        np.testing.assert_array_equal(restored.mask, editor.mask)
    np.testing.assert_array_equal(restored.mask, base)


def test_journal_of_an_earlier_version_is_replayed(tmp_path: Path, base: Mask) -> None:
    def line(**content: object) -> bytes:
        text = json.dumps(content).encode()
        return b"%08x %s\n" % (zlib.crc32(text), text)

    def packed(pixels: Mask) -> str:
        return base64.b64encode(zlib.compress(pixels.tobytes())).decode()

    path, after = tmp_path / "7.journal", base[4:8, 4:9] + 1
    lines = (
        line(journal=1, shape=[40, 60], pixels=packed(base)),
        line(rect=[4, 4, 8, 9], name="brush", pixels=packed(np.stack([base[4:8, 4:9], after]))),
    )
    path.write_bytes(b"".join(lines))
    found = Journal.resume(path)
    assert found is not None
    journal, draft = found
    np.testing.assert_array_equal(draft.mask()[4:8, 4:9], after)
    editor = MaskEditor(draft.base)
    editor.restore(draft.entries)
    stroke(editor, journal, 30.0)
    journal.close()
    again = Journal.replay(path)
    assert again is not None
    np.testing.assert_array_equal(again.mask(), editor.mask)


def test_resumed_journal_goes_on_where_it_stopped(tmp_path: Path, base: Mask) -> None:
    path = tmp_path / "7.journal"
    edited(path, base)
    path.write_bytes(path.read_bytes()[:-9])  # the last line is torn: the redo is lost
    found = Journal.resume(path)
    assert found is not None
    journal, draft = found
    editor = MaskEditor(draft.base)
    editor.restore(draft.entries)
    stroke(editor, journal, 3.0)
    journal.close()
    again = Journal.replay(path)
    assert again is not None
    np.testing.assert_array_equal(again.mask(), editor.mask)


def test_every_torn_end_keeps_all_whole_lines(tmp_path: Path, base: Mask) -> None:
    path = tmp_path / "7.journal"
    edited(path, base)
    whole = path.read_bytes()
    header = whole.index(b"\n") + 1
    for length in range(header, len(whole), 7):
        for tail in (b"", b"\0" * 50, b"\0" * 5 + b"\n"):
            path.write_bytes(whole[:length] + tail)
            draft = Journal.replay(path)
            assert draft is not None
            assert len(draft.entries) == whole[header:length].count(b"\n")


def test_journal_of_an_empty_mask_holds_no_pixels_of_it(tmp_path: Path) -> None:
    path = tmp_path / "7.journal"
    editor = MaskEditor.blank((5000, 4000))
    journal = Journal.start(path, editor.base, empty=editor.begins_empty)
    assert path.stat().st_size < 200
    stroke(editor, journal, 30.0)
    journal.close()
    draft = Journal.replay(path)
    assert draft is not None
    assert not draft.base.any()
    np.testing.assert_array_equal(draft.mask(), editor.mask)
    editor.rebase(np.ones((5000, 4000), np.uint8))
    assert not editor.begins_empty


@pytest.mark.parametrize("where", ["header", "middle", "nothing"])
def test_damaged_journal_is_moved_aside(tmp_path: Path, base: Mask, where: str) -> None:
    path = tmp_path / "7.journal"
    edited(path, base)
    whole = bytearray(path.read_bytes())
    if where == "nothing":
        whole.clear()
    else:
        whole[40 if where == "header" else whole.index(b"\n") + 40] ^= 1
    path.write_bytes(whole)
    assert Journal.replay(path) is None
    assert not path.exists()
    assert (tmp_path / "7.journal.damaged").read_bytes() == whole


def test_no_journal_is_no_draft(tmp_path: Path) -> None:
    assert Journal.replay(tmp_path / "7.journal") is None
    assert Journal.resume(tmp_path / "7.journal") is None


def test_discarded_journal_is_gone(tmp_path: Path, base: Mask) -> None:
    journal = Journal.start(tmp_path / "7.journal", base)
    journal.discard()
    journal.discard()
    assert list(tmp_path.iterdir()) == []


def test_full_disk_keeps_the_journal_whole(tmp_path: Path, base: Mask, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "7.journal"
    editor, journal = MaskEditor(base), Journal.start(path, base)
    stroke(editor, journal, 10.0)
    before = path.read_bytes()

    def refuse(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", refuse)
        with pytest.raises(StorageError, match="No space left"):
            stroke(editor, journal, 20.0)
    assert path.read_bytes() == before
    journal.append("undo")
    draft = Journal.replay(path)
    assert draft is not None
    assert [type(entry) for entry in draft.entries][1:] == [str]
    journal.close()


def test_appending_costs_little_at_full_size(tmp_path: Path) -> None:
    base = np.zeros((2048, 2048), np.uint8)
    editor, journal = MaskEditor(base), Journal.start(tmp_path / "7.journal", base)
    size = journal.path.stat().st_size
    for number in range(20):
        stroke(editor, journal, 50.0 + number)
    assert journal.path.stat().st_size - size < 20 * 2000
    journal.close()
