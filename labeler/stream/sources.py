"""Where images can come from, and how a person writes it down."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl

from labeler import ships
from labeler.errors import StreamError
from labeler.images import SUFFIXES, shown

LIST_SUFFIXES = frozenset((".txt", ".lst", ".list"))
VIDEO_SUFFIXES = frozenset((".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv"))
_DISTRACTORS = {"rectangle": "rectangle", "triangle": "triangle", "none": "none"}
_MOST_SHIPS = 10_000_000

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Folder:
    """All images below ``root``, hidden files and folders left out."""

    root: Path


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A single image."""

    path: Path


@dataclass(frozen=True, slots=True)
class ListFile:
    """A text file with a path a line, relative to its own folder."""

    path: Path


@dataclass(frozen=True, slots=True)
class Video:
    """Every ``every``-th frame of a film."""

    path: Path
    every: int = 1


@dataclass(frozen=True, slots=True)
class Camera:
    """A frame of camera ``index`` each ``interval_s`` seconds."""

    index: int
    interval_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Ships:
    """``count`` generated ships."""

    count: int
    seed: int = 0
    config: ships.ShipsConfig = field(default=ships.ARTICLE)


Source = Folder | ImageFile | ListFile | Video | Camera | Ships


def parse_source(text: str) -> Source:
    """The source that a person names: a folder, an image, ``list.txt``, ``film.mp4?every=10``,
    ``camera:0?interval=2`` or ``ships:100?seed=1&distractor=triangle&size=128``.

    A file or folder of that very name comes first. StreamError where there is no such thing.
    """
    path = _path(text)
    if _exists(path):
        return _existing(path, {})
    scheme, _, rest = text.partition(":")
    rest, _, query = rest.partition("?")
    if scheme == "camera":
        options = _options(query, text, {"interval"})
        index = _number(int, rest or "0", text, least=0, most=1000)
        return Camera(index, _number(float, options.get("interval", "1"), text, least=0, most=86_400))
    if scheme == "ships":
        return _ships(rest, query, text)
    name, _, query = text.rpartition("?")
    if name and _exists(_path(name)):
        return _existing(_path(name), _options(query, text, {"every"}))
    raise StreamError(
        f"{shown(text)}: there is no such file or folder; check the name, or whether its drive is connected"
    )


def _path(text: str) -> Path:
    if not text.strip() or "\0" in text:
        return Path()
    return Path(os.path.abspath(os.path.expanduser(text)))  # noqa: PTH100, PTH111 - Path.expanduser raises without HOME


def _exists(path: Path) -> bool:
    try:
        return path != Path() and path.exists()
    except OSError as error:  # no permission for a folder on the way, a name that is too long
        raise StreamError(
            f"{shown(path)}: cannot be opened ({error.strerror}); check the name and its permissions"
        ) from error


def _existing(path: Path, options: dict[str, str]) -> Source:
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES and path.is_file():
        return Video(path, _number(int, options.get("every", "1"), path.name, least=1, most=1_000_000))
    if options:
        raise StreamError(f"{shown(path)}: takes no options; leave out what follows the question mark")
    if path.is_dir():
        return Folder(path)
    if suffix in LIST_SUFFIXES and path.is_file():
        return ListFile(path)
    if suffix in SUFFIXES and path.is_file():
        return ImageFile(path)
    raise StreamError(f"{shown(path)}: is no source of images; choose a folder, an image, a list (.txt) or a film")


def _ships(count: str, query: str, text: str) -> Ships:
    options = _options(query, text, {"seed", "distractor", "size"})
    distractor = options.get("distractor", "rectangle")
    if distractor not in _DISTRACTORS:
        raise StreamError(f"{shown(text)}: no distractor {shown(distractor)}; take one of {', '.join(_DISTRACTORS)}")
    size = _number(int, options.get("size", "128"), text, least=64, most=4096)
    seed = _number(int, options.get("seed", "0"), text, least=0, most=2**63)
    config = ships.ShipsConfig(size=size, distractor=_DISTRACTORS[distractor])  # type: ignore[arg-type]
    return Ships(_number(int, count, text, least=1, most=_MOST_SHIPS), seed, config)


def _options(query: str, text: str, known: set[str]) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(set(options) - known):
        raise StreamError(f"{shown(text)}: unknown option {shown(unknown[0])}; known are {', '.join(sorted(known))}")
    return options


def _number(kind: type[Number], value: str, text: str, *, least: float, most: float) -> Number:
    try:
        number = kind(value)
    except ValueError:
        number = kind(-1)
    if not least <= number <= most:  # false for NaN, too
        raise StreamError(
            f"{shown(text)}: {shown(value) or 'nothing'} is no number from {least:g} to {most:g}; correct it"
        )
    return number
