"""What the bytes say before a decoder sees them: the format, and whether PNG and JPEG files are whole.

The decoders disagree about files that end early or have flipped bits; these checks make one answer of it.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from labeler.images.reading import refusal

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAGIC = {
    "PNG": (PNG_SIGNATURE,),
    "JPEG": (b"\xff\xd8\xff",),
    "BMP": (b"BM",),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
}
_FOREIGN = {
    b"GIF8": "a GIF",
    b"%PDF": "a PDF",
    b"%!PS": "PostScript",
    b"\xc5\xd0\xd3\xc6": "PostScript",
    b"\x93NUMPY": "a numpy array",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"\0\0\0\x0cjP": "JPEG 2000",
    b"\x89HDF": "HDF5",
    b"<svg": "SVG",
    b"<?xml": "XML or SVG",
}
# What the picture is made of. All else (text, colour profiles, animation) is dropped before decoding: a damaged
# profile or a text block that inflates to gigabytes then cannot matter.
_PNG_NEEDED = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"))
_PNG_CHECKED = _PNG_NEEDED - {b"tRNS"}

_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # not a stuffed byte, filler or restart marker
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9
# APP1 to APP15 but for APP14, which says how colours are coded; and comments.
_JPEG_METADATA = frozenset((*range(0xE1, 0xF0), 0xFE)) - {0xEE}


@dataclass(frozen=True, slots=True)
class PngHeader:
    """What the first chunk says; ``colour`` is PNG's colour type: 0 grey, 2 RGB, 3 palette, 4 grey + alpha, 6 RGBA."""

    width: int
    height: int
    depth: int
    colour: int
    frames: int  # of an animation; 1 = still
    exif: bytes


def sniff(payload: bytes, name: str) -> str:
    """The format by content: "PNG", "JPEG", "BMP", "WEBP" or "TIFF"; ImageError for all else."""
    if not payload:
        raise refusal(name, "is empty (0 bytes)", "copy it again from where it came from")
    for kind, starts in _MAGIC.items():
        if payload.startswith(starts):
            return kind
    if payload[:4] == b"RIFF" and payload[8:12] == b"WEBP":
        return "WEBP"
    raise refusal(name, f"is {_foreign(payload)}", "convert it to PNG, JPEG, BMP, WebP or TIFF")


def _foreign(payload: bytes) -> str:
    head = payload[:256].lstrip()
    for start, what in _FOREIGN.items():
        if head.startswith(start):
            return f"{what}, which is not read"
    if payload[4:8] == b"ftyp":
        return "a HEIC, AVIF or video file, which is not read as an image"
    if not any(payload[:4096]):
        return "filled with zeros, probably by a crash or a full disk, and no image"
    return "no image that can be read"


def checked_png(payload: bytes, name: str) -> tuple[PngHeader, bytes]:
    """The header, and the file reduced to the chunks that make the picture.

    A file without IEND or with a wrong checksum in any of these chunks is refused: it is cut or damaged.
    """
    chunks, frames, exif, header, all_needed = [PNG_SIGNATURE], 1, b"", None, True
    for kind, start, end in _png_chunks(payload, name):
        if kind in _PNG_CHECKED and zlib.crc32(payload[start + 4 : end - 4]) != _uint32(payload, end - 4):
            raise _damaged(name)
        if header is None:
            if kind != b"IHDR" or end - start != 25:
                raise _damaged(name)
            header = struct.unpack_from(">IIBB", payload, start + 8)
        elif kind == b"acTL" and end - start >= 20:
            frames = max(1, _uint32(payload, start + 8))
        elif kind == b"eXIf":
            exif = payload[start + 8 : end - 4]
        if kind in _PNG_NEEDED:
            chunks.append(payload[start:end])
        else:
            all_needed = False
    if header is None:
        raise _cut(name)
    width, height, depth, colour = header
    # Joining hundreds of megabytes would hold up every other thread.
    needed = payload if all_needed else b"".join(chunks)
    return PngHeader(width, height, depth, colour, frames, exif), needed


def _png_chunks(payload: bytes, name: str) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk up to IEND."""
    position = len(PNG_SIGNATURE)
    while position + 12 <= len(payload):
        end = position + 12 + _uint32(payload, position)
        kind = payload[position + 4 : position + 8]
        if end > len(payload):
            break
        yield kind, position, end
        if kind == b"IEND":
            return
        position = end
    raise _cut(name)


def _uint32(payload: bytes, position: int) -> int:
    return int.from_bytes(payload[position : position + 4], "big")


def checked_jpeg(payload: bytes, name: str) -> tuple[bytes, bytes]:
    """The EXIF block (empty if there is none), and the file reduced to its first picture without metadata.

    A file that does not reach its end marker is refused: libjpeg pads it with grey and says nothing; so do OpenCV
    and Qt. What follows the end marker (previews, films of phones) is of no interest.
    """
    exif, kept = b"", [payload[:2]]
    position, scan = 2, 0  # scan: where the first one starts; from there on all is kept
    while found := _JPEG_MARKER.search(payload, position):
        kind, start = payload[found.start() + 1], found.start()
        if kind == _JPEG_END:
            kept.append(payload[scan or start : found.end()])
            return exif, b"".join(kept)
        position = found.end() + max(2, int.from_bytes(payload[found.end() : found.end() + 2], "big"))
        if scan:
            continue
        if kind == _JPEG_SCAN:
            scan = start
        elif kind not in _JPEG_METADATA:
            kept.append(payload[start:position])
        elif payload[start + 4 : start + 10] == b"Exif\0\0" and not exif:
            exif = payload[start + 10 : position]
    raise _cut(name)


def orientation_of(exif: bytes) -> int:
    """The orientation in an EXIF block as stored; 1 where there is none or the block is damaged.

    Read by hand: Pillow's reader follows every pointer of the block and warns about each that is odd.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    try:
        if order is None:
            return 1
        start = struct.unpack_from(f"{order}I", exif, 4)[0]
        for index in range(struct.unpack_from(f"{order}H", exif, start)[0]):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, start + 2 + 12 * index)
            if (tag, kind) == (0x0112, 3):
                return int(value)
    except struct.error:
        pass
    return 1


def _cut(name: str) -> Exception:
    return refusal(name, "ends before the picture does", "copy it again from where it came from")


def _damaged(name: str) -> Exception:
    return refusal(name, "is damaged (a checksum does not fit)", "copy it again from where it came from")
