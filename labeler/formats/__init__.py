"""Export of masks: staged beside the target, read back, compared pixel by pixel, then renamed into place."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from labeler.errors import ExportError, MaskError, StorageError
from labeler.files import STAGED_SUFFIX, sync_folder, write_atomically
from labeler.formats import coco, png
from labeler.formats.manifest import (
    MANIFEST_NAME,
    Entry,
    Manifest,
    build,
    fingerprint,
    load_masks,
    select,
    source_folders,
)
from labeler.formats.names import unescape
from labeler.project import Project
from labeler.records import Mask, Progress

__all__ = [
    "FORMATS",
    "Manifest",
    "export",
    "move_into_place",
    "new_folder",
    "note_export",
    "refused",
    "staged_folder",
]

Writer = Callable[[Path, Iterable[tuple[Entry, Mask]], Iterable[Entry], tuple[str, ...]], Iterator[Entry]]
Reader = Callable[[Path], Iterator[tuple[str, Mask]]]


@dataclass(frozen=True, slots=True)
class Format:
    """How one format is written, a mask a step, and how it is read back."""

    write: Writer
    read: Reader


FORMATS = {"png": Format(png.write, png.read), "coco": Format(coco.write, coco.read)}


def export(
    project: Project, out: Path, *, format: str, include_accepted: bool = True
) -> Generator[Progress, None, Manifest]:
    """Export the labelled and accepted masks, or only the core; close the generator to leave no trace.

    ExportError where ``out`` may not be written to, there is nothing to export, or a mask does not read back as it
    was written. Masks whose files are lost are left out and listed in the manifest.
    """
    chosen = _format(format)
    folder = new_folder(out, sources=source_folders(project.sources))
    selection = select(project, include_accepted=include_accepted)
    if not selection.entries and include_accepted:
        raise ExportError(f"{project.folder}: there is no mask to export yet; label or accept some images first")
    if not selection.entries:
        raise ExportError(f"{project.folder}: there is no label to export yet; label some images first")
    total = 2 * len(selection.entries)
    written: dict[str, str] = {}  # name -> fingerprint of the mask that was given to the format
    done: list[Entry] = []
    left_out: list[tuple[str, str]] = []
    try:
        with staged_folder(folder) as staged:
            pairs = _noting(load_masks(project, selection, left_out), written)
            for entry in chosen.write(staged, pairs, selection.entries, project.settings.classes):
                done.append(entry)
                yield Progress("writing", len(done), total)
            for checked in _compare(chosen.read(staged), written, folder):
                yield Progress("checking", len(done) + len(left_out) + checked, total)
            manifest = build(project, selection, done, left_out=left_out, format=format, staged=staged, folder=folder)
            write_atomically(staged / MANIFEST_NAME, json.dumps(manifest.document, indent=1).encode())
            move_into_place(staged, folder)
    except OSError as error:
        raise refused(folder, error) from error
    if project.is_writable:  # of a view, whoever has the project itself notes it
        note_export(project, manifest)
    return manifest


def note_export(project: Project, manifest: Manifest) -> None:
    """Remember an export in the project that it was made of."""
    images, left_out = manifest.images, len(manifest.left_out)
    project.log("exported", folder=os.fspath(manifest.folder), format=manifest.format, images=images, left_out=left_out)


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise ExportError(f"{name}: no such format; choose one of {', '.join(FORMATS)}")
    return FORMATS[name]


def new_folder(out: Path, *, sources: Iterable[Path]) -> Path:
    """``out`` as an absolute folder that may be made; ExportError where it has content or lies among the images."""
    folder = out.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{out}: exists already and is not an empty folder; choose a new name")
    for source in sources:
        if folder.is_relative_to(source):
            raise ExportError(
                f"{out}: lies in the image folder {source}, where nothing is ever written; choose another"
            )
    return folder


@contextlib.contextmanager
def staged_folder(folder: Path) -> Iterator[Path]:
    """A new folder beside ``folder``, gone afterwards unless it was renamed; what a killed export left goes too."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for old in folder.parent.iterdir():
        if re.fullmatch(rf"{re.escape(folder.name)}\.[0-9a-f]{{8}}{re.escape(STAGED_SUFFIX)}", old.name):
            shutil.rmtree(old, ignore_errors=True)
    staged = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}{STAGED_SUFFIX}")
    staged.mkdir()
    try:
        yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def move_into_place(staged: Path, folder: Path) -> None:
    """Give a staged folder its name, durably. OSError as it comes."""
    if hasattr(os, "sync"):
        os.sync()  # the masks were written without one each
    if folder.exists():
        folder.rmdir()  # empty, as was checked; Windows renames onto nothing
    staged.rename(folder)
    sync_folder(folder.parent)


def refused(folder: Path, error: OSError) -> StorageError:
    """The error of a folder that the disk refuses, in words."""
    why = error.strerror or str(error)
    return StorageError(f"{folder}: cannot be written ({why}); free some space or choose another folder")


def _noting(pairs: Iterable[tuple[Entry, Mask]], written: dict[str, str]) -> Iterator[tuple[Entry, Mask]]:
    for entry, mask in pairs:
        written[unescape(entry.name)] = fingerprint(mask)
        yield entry, mask


def _compare(found: Iterator[tuple[str, Mask]], written: dict[str, str], folder: Path) -> Iterator[int]:
    """Yield the count of masks that read back as written; ExportError at the first that does not."""
    missing = dict(written)
    try:
        for name, mask in found:
            if missing.pop(name, None) != fingerprint(mask):
                raise ExportError(f"{folder}: the mask of {name!r} does not read back as written; try another disk")
            yield len(written) - len(missing)
    except (OSError, ValueError, KeyError, MaskError) as error:
        raise ExportError(f"{folder}: the export cannot be read back ({error}); try another disk") from error
    if missing:
        raise ExportError(f"{folder}: the mask of {next(iter(missing))!r} is not in the export; try another disk")
