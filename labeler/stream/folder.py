"""Files that may be images: below a folder, or named in a list."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labeler.errors import ImageError, StreamError
from labeler.images import SUFFIXES, probe, read, refusal, shown
from labeler.records import StreamItem, UnreadableItem

LINKED = "linked from another folder"
_PROJECT = ("project.toml", "catalogue.sqlite")
_DIGITS = re.compile(r"(\d+)")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LINE_END = re.compile(r"\r\n|\n|\r")  # str.splitlines knows more of them, which may be part of a name
_LONGEST_LINE = 4096  # the longest path


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is worth a look, and what to say about the way it was found."""

    path: Path
    note: str = ""


def walk(root: Path) -> Iterator[Found | UnreadableItem]:
    """Images below ``root`` in natural order (2 before 10), folder by folder; only names are looked at.

    Left out: hidden files, projects of this program, and links to what lies below ``root`` anyhow. Links to files
    elsewhere are followed and noted, links to folders elsewhere are not. StreamError where ``root`` cannot be listed.
    """
    real_root = os.path.realpath(root)
    pending = [root]
    while pending:
        folder = pending.pop()
        try:
            entries = _entries(folder)
        except OSError as error:
            if folder == root:
                raise _unlisted(root, error) from error
            yield UnreadableItem(folder, str(_unlisted(folder, error)))
            continue
        if folder != root and {entry.name for entry in entries}.issuperset(_PROJECT):
            continue
        subfolders = []
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                yield from _linked(Path(entry.path), real_root)
            elif entry.is_dir(follow_symlinks=False):
                subfolders.append(Path(entry.path))
            elif is_candidate(entry.name):
                yield Found(Path(entry.path))
        pending.extend(reversed(subfolders))


def is_candidate(name: str) -> bool:
    """Whether a file of this name is looked at."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122


def is_reached(path: Path, root: Path) -> bool:
    """Whether ``walk`` comes to the folder of ``path``: none on the way is hidden, linked or a project."""
    if not path.is_relative_to(root):
        return False
    folders = [folder for folder in path.parents if folder != root and folder.is_relative_to(root)]
    return not any(
        folder.name.startswith(".") or folder.is_symlink() or all((folder / name).exists() for name in _PROJECT)
        for folder in folders
    )


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: _natural(entry.name))


def _natural(name: str) -> tuple[list[str | int], str]:
    # Text and numbers alternate, text first, so that no number is ever compared with text.
    parts = _DIGITS.split(name.casefold())
    return [int(part) if index % 2 and part.isascii() else part for index, part in enumerate(parts)], name


def _unlisted(folder: Path, error: OSError) -> StreamError:
    why = error.strerror or str(error)
    return StreamError(
        f"{shown(folder)}: cannot be listed ({why}); check its permissions and whether its drive is there"
    )


def _linked(path: Path, real_root: str) -> Iterator[Found | UnreadableItem]:
    """What to do with a link: nothing, follow it, or say why not."""
    target = os.path.realpath(path)
    inside = target == real_root or target.startswith(os.path.join(real_root, ""))  # noqa: PTH118
    if os.path.isdir(target):  # noqa: PTH112
        if not inside:
            why = refusal(shown(path.name), "is a link to another folder", "open that folder as a source of its own")
            yield UnreadableItem(path, str(why))
    elif is_candidate(path.name):
        if not path.exists():
            why = refusal(
                shown(path.name), "is a link to a file that is not there", "put the file back or delete the link"
            )
            yield UnreadableItem(path, str(why))
        elif not inside or not is_candidate(target):
            yield Found(path, LINKED)


def listed(path: Path) -> Iterator[Found]:
    """The files that a list names, a path a line, relative to the folder of the list; each once.

    UTF-8 or UTF-16, with or without byte order mark, any line ends. StreamError where the list cannot be read.
    """
    try:
        payload = read(path)
    except ImageError as error:
        raise StreamError(str(error)) from error
    seen = set()
    for line in _LINE_END.split(_text(payload, path)):
        entry = line.strip(" \t").replace("\0", "\\0")
        if len(entry) > _LONGEST_LINE:
            entry = f"{entry[:200]}..."
        file = Path(os.path.abspath(path.parent / os.path.expanduser(entry)))  # noqa: PTH100, PTH111 - never raises
        if entry and file not in seen:
            seen.add(file)
            yield Found(file)


def _text(payload: bytes, path: Path) -> str:
    if payload.startswith(_UTF_16):
        return payload.decode("utf-16", "replace")
    payload = payload.removeprefix(codecs.BOM_UTF8)
    if b"\0" in payload:
        raise StreamError(f"{shown(path)}: is no text; choose a text file with a path a line")
    # Names of files need not be UTF-8: fsdecode gives the bytes back unchanged when the file is opened.
    return os.fsdecode(payload)


def stamp(path: Path) -> tuple[int, float]:
    """Size and time of change, the sign that a file is still the one it was; (-1, 0) where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return -1, 0.0
    return status.st_size, status.st_mtime


def examine(found: Found) -> StreamItem | UnreadableItem:
    """Read the file and say whether it can be used. A bad file is an answer here, never an exception."""
    try:
        item = probe(found.path)
    except ImageError as error:
        return UnreadableItem(found.path, str(error))
    note = "; ".join(filter(None, (item.note, found.note)))
    return StreamItem(item.path, item.sha256, item.width, item.height, note)
