"""Sources of images: folders, lists, films, cameras, generated ships. No thread of our own, no Qt."""

from __future__ import annotations

from labeler.stream.scanning import scan
from labeler.stream.sources import (
    Camera,
    Folder,
    ImageFile,
    ListFile,
    Ships,
    Source,
    Video,
    parse_source,
)
from labeler.stream.watcher import Watcher

__all__ = [
    "Camera",
    "Folder",
    "ImageFile",
    "ListFile",
    "Ships",
    "Source",
    "Video",
    "Watcher",
    "parse_source",
    "scan",
]
