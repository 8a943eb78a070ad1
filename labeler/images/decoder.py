"""One decoder for the whole product: bytes in, upright grey or RGB pixels out."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image as PILImage

from labeler.images.containers import checked_jpeg, checked_png, orientation_of, sniff
from labeler.images.raster import (
    DECODER_FAULTS,
    Raster,
    check_size,
    from_opencv,
    from_pillow,
    normalised,
    undecodable,
    upright,
)
from labeler.images.tiff import read_tiff
from labeler.records import Image


@dataclass(frozen=True, slots=True)
class Decoded:
    """``image`` (H, W) or (H, W, 3), uint8 or uint16, upright; ``oriented``: EXIF turned or mirrored it."""

    image: Image
    note: str
    bit_depth: int
    oriented: bool


def decode(payload: bytes, *, name: str) -> Decoded:
    """Decode PNG, JPEG, BMP, WebP or TIFF, chosen by content; ImageError names ``name`` and the way out.

    Alpha is dropped, never blended; of several pages or frames the first is taken; palette, CMYK and bilevel become
    RGB or grey. 16 bit stays 16 bit; float is scaled to 16 bit. Whatever was changed is in ``note``.
    """
    raster = _read(payload, name, indices=False)
    notes = list(raster.notes)
    oriented = 2 <= raster.orientation <= 8
    if oriented:
        notes.append("turned upright by its EXIF orientation")
    elif raster.orientation != 1:
        notes.append(f"EXIF orientation {raster.orientation} is unknown and ignored")
    if raster.pixels.dtype.itemsize == 2:
        notes.insert(0, "16 bit")
    return Decoded(raster.pixels, "; ".join(notes), 8 * raster.pixels.dtype.itemsize, oriented)


def decode_indices(payload: bytes, *, name: str) -> Image:
    """The same for masks of other programs: palette indices and raw grey values instead of colours, 0/1 if bilevel.

    (H, W) or (H, W, 3), uint8 or uint16, upright. ImageError as from ``decode``.
    """
    return _read(payload, name, indices=True).pixels


def _read(payload: bytes, name: str, *, indices: bool) -> Raster:
    """Normalised and turned upright; ``orientation`` tells what was done."""
    kind = sniff(payload, name)
    try:
        raster = normalised(_decoded(payload, kind, name, indices=indices), name)
        return Raster(upright(raster.pixels, raster.orientation), raster.notes, raster.orientation)
    except (MemoryError, *DECODER_FAULTS) as error:
        raise undecodable(name, error) from error


def _decoded(payload: bytes, kind: str, name: str, *, indices: bool) -> Raster:
    """As stored."""
    if kind == "PNG":
        return _read_png(payload, name, indices=indices)
    if kind == "TIFF":
        return read_tiff(payload, name, indices=indices)
    exif = None
    if kind == "JPEG":
        exif, payload = checked_jpeg(payload, name)
    return _read_pillow(payload, kind, name, exif=exif, indices=indices)


def _read_png(payload: bytes, name: str, *, indices: bool) -> Raster:
    header, needed = checked_png(payload, name)
    check_size(header.width, header.height, 2 if header.depth == 16 else 1, name)
    if header.depth == 16 and header.colour != 0:
        check_size(header.width, header.height, 8, name)
        raster = from_opencv(needed, name)
        grey = header.colour == 4  # OpenCV hands grey + alpha out as four channels
        raster = Raster(raster.pixels[..., 0] if grey else raster.pixels, raster.notes, orientation_of(header.exif))
    else:
        raster = _read_pillow(needed, "PNG", name, exif=header.exif, indices=indices)
    if indices and header.colour == 0 and header.depth in (2, 4):
        # Pillow stretches these to 0..255; in a mask the stored number counts.
        raster = Raster(raster.pixels // (255 // (2**header.depth - 1)), raster.notes, raster.orientation)
    note = (f"first of {header.frames} frames",) if header.frames > 1 else ()
    return Raster(raster.pixels, (*raster.notes, *note), raster.orientation)


def _read_pillow(payload: bytes, kind: str, name: str, *, exif: bytes | None, indices: bool) -> Raster:
    with PILImage.open(io.BytesIO(payload), formats=[kind]) as image:
        check_size(*image.size, 4 if image.mode in ("RGB", "RGBA", "RGBX", "CMYK") else 2, name)
        frames = int(getattr(image, "n_frames", 1))
        if exif is None:
            exif = image.info.get("exif", b"")
        raster = from_pillow(image, indices=indices)
    note = (f"first of {frames} frames",) if frames > 1 else ()
    return Raster(raster.pixels, (*raster.notes, *note), orientation_of(exif))
