"""Facts inside a mask's PNG file: of which image, when, by whom, so that masks outlive their catalogue."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEYWORD = b"labeler\0"


def with_facts(png: bytes, facts: dict[str, Any]) -> bytes:
    """The PNG file with one text chunk more, right behind its header; the pixels stay as they are."""
    _, end = next(_chunks(png))
    body = b"tEXt" + _KEYWORD + json.dumps(facts).encode("ascii")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:end] + chunk + png[end:]


def facts_of(png: bytes) -> dict[str, Any] | None:
    """What ``with_facts`` has put in; None where there is nothing, or nothing sound."""
    for start, end in _chunks(png):
        body = png[start + 4 : end - 4]
        if body.startswith(b"tEXt" + _KEYWORD) and png[end - 4 : end] == struct.pack(">I", zlib.crc32(body)):
            try:
                facts = json.loads(body[4 + len(_KEYWORD) :])
            except ValueError:
                return None
            return facts if isinstance(facts, dict) else None
    return None


def _chunks(png: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of each chunk: length, type, data, checksum."""
    start = len(_SIGNATURE)
    while png.startswith(_SIGNATURE) and start + 12 <= len(png):
        end = start + 12 + int(struct.unpack_from(">I", png, start)[0])
        if end > len(png):
            return
        yield start, end
        start = end
