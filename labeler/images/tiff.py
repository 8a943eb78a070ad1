"""TIFF files: tifffile reads the tags and what it can decode by itself, libtiff (in Pillow and OpenCV) the rest."""

from __future__ import annotations

import io
import logging
import math
import zlib
from typing import Any

import numpy as np
import tifffile
from PIL import Image as PILImage

from labeler.images.raster import (
    PIXEL_LIMIT,
    Raster,
    check_size,
    from_opencv,
    from_pillow,
    transparency_note,
)
from labeler.images.reading import refusal

# What is wrong with a file reaches the person as an ImageError, not as a line of log.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)

_READ_BYTES = 4 << 20  # at a time

# Decoded by tifffile in every installation; whatever needs its optional codecs goes to libtiff, always.
_PLAIN = frozenset((1, 8, 32946, 32773))  # none, deflate (two numbers), PackBits
_DEFLATE = frozenset((8, 32946))
_DEFLATE_RATIO = 1032  # the best that deflate can do
_GREY = frozenset((0, 1, 4))  # photometric: white is zero, black is zero, transparency mask
_RGB, _PALETTE, _CMYK, _YCBCR = 2, 3, 5, 6
_LIBTIFF_ONLY = frozenset((_YCBCR, 8))  # YCbCr, CIELAB
_ORIENTATION, _SOFTWARE = 274, 305


def read_tiff(payload: bytes, name: str, *, indices: bool) -> Raster:
    """Pixels of the first page; decoder faults as they come, ImageError for what is not supported."""
    with tifffile.TiffFile(io.BytesIO(payload)) as file:
        page: Any = file.pages[0]
        _check_page(page, len(payload), name)
        pages = len(file.pages)
        if pages == 1 and file.is_imagej:
            pages = int((file.imagej_metadata or {}).get("images", 1))
        orientation = _orientation(page)
        if int(page.compression) in _PLAIN and _plainly_coded(page):
            raster = _from_tifffile(page, payload, name, indices=indices)
        else:
            raster = _from_libtiff(page, payload, name, indices=indices)
    notes = (*raster.notes, *((f"first of {pages} pages",) if pages > 1 else ()))
    return Raster(raster.pixels, notes, orientation)


def _check_page(page: Any, size: int, name: str) -> None:
    """Refuse what is too large, has odd channels or lies outside the file, before anything is decoded."""
    samples = int(page.samplesperpixel)
    bits = int(page.bitspersample)
    check_size(int(page.imagewidth), int(page.imagelength), max(1, samples * bits // 8), name)
    if int(page.tilewidth) * int(page.tilelength) > PIXEL_LIMIT:
        raise refusal(name, "is made of tiles that are too large", "save it again without tiles")
    if int(page.imagedepth) != 1:
        raise refusal(name, "is a volume", "save its slices as single images")
    photometric = int(page.photometric)
    usual = {_RGB: (3, 4), _PALETTE: (1,), _CMYK: (4,), _YCBCR: (3,), 8: (3,)}.get(photometric, (1, 2, 3))
    if samples not in usual:
        raise refusal(name, f"has {samples} channels", "save it as grey or RGB")
    if photometric not in (*_GREY, _RGB, _PALETTE, _CMYK, *_LIBTIFF_ONLY):
        raise refusal(name, "is camera raw data or of another kind that is not read", "save it as grey or RGB")
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    # tifffile fills what is missing with zeros and says nothing.
    missing = len(segments) < math.prod(page.chunked) or any(
        count <= 0 or offset + count > size for offset, count in segments
    )
    stored = sum(page.databytecounts)
    needed = int(page.imagewidth) * int(page.imagelength) * samples * bits // 8
    if missing or (int(page.compression) == 1 and stored < needed):
        raise refusal(name, "ends before the picture does", "copy it again from where it came from")


def _orientation(page: Any) -> int:
    tag = page.tags.get(_ORIENTATION)
    return int(tag.value) if tag is not None and isinstance(tag.value, int) else 1


def _plainly_coded(page: Any) -> bool:
    """Whether tifffile needs no further package for it: no floating point predictor, no odd number of bits."""
    bits = int(page.bitspersample)
    return (
        int(page.predictor) in (1, 2)
        and (bits in (8, 16, 32, 64) or (bits == 1 and int(page.samplesperpixel) == 1))
        and int(page.photometric) not in _LIBTIFF_ONLY
        and int(getattr(page, "fillorder", 1)) == 1
    )


def _from_tifffile(page: Any, payload: bytes, name: str, *, indices: bool) -> Raster:
    if int(page.compression) in _DEFLATE:
        _check_deflate(page, payload, name)
    # All tiles read at once would be one copy of the file, which nothing else can run beside.
    pixels = np.asarray(page.asarray(maxworkers=1, buffersize=_READ_BYTES))
    if int(page.samplesperpixel) > 1 and int(page.planarconfig) == 2:
        pixels = np.moveaxis(pixels, 0, -1)
    photometric = int(page.photometric)
    if photometric == 0 and pixels.dtype.kind in "bu" and not (indices and _means_itself(page)):
        pixels = ~pixels
    if photometric == _PALETTE and not indices:
        return Raster(_coloured(page, pixels), ("palette turned into RGB",))
    if photometric == _CMYK and pixels.dtype == np.uint8:
        inks = PILImage.fromarray(np.ascontiguousarray(pixels), "CMYK")
        return Raster(np.array(inks.convert("RGB")), ("CMYK turned into RGB",))
    if photometric == _CMYK:
        raise refusal(name, "is CMYK of more than 8 bit", "save it as RGB")
    if pixels.dtype == np.bool_ and indices:
        return Raster(pixels.astype(np.uint8))
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        notes = transparency_note(pixels[..., -1])
        return Raster(pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3], notes)
    return Raster(pixels)


def _means_itself(page: Any) -> bool:
    """Whether "white is zero" is only tifffile's habit for boolean arrays, which it writes without inverting."""
    tag = page.tags.get(_SOFTWARE)
    return page.dtype == np.bool_ and tag is not None and str(tag.value).startswith("tifffile")


def _coloured(page: Any, pixels: Any) -> Any:
    colours = (np.asarray(page.colormap) >> 8).astype(np.uint8)  # (3, entries), 16 bit each
    return np.moveaxis(colours[:, np.minimum(pixels, colours.shape[1] - 1)], 0, -1)


def _check_deflate(page: Any, payload: bytes, name: str) -> None:
    """Refuse strips that inflate to more than the picture can need.

    Only large strips can be bombs, so only these are inflated twice; in pieces that are thrown away.
    """
    whole = math.prod((int(page.imagewidth), int(page.imagelength), int(page.samplesperpixel))) * page.bitspersample
    allowed = max(whole // 8, int(page.tilewidth) * int(page.tilelength) * 8 * int(page.samplesperpixel)) + 2**20
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if count * _DEFLATE_RATIO <= 2 * allowed:
            continue
        inflater, rest, seen = zlib.decompressobj(), payload[offset : offset + count], 0
        while rest and seen <= allowed:
            seen += len(inflater.decompress(rest, 2**20))
            rest = inflater.unconsumed_tail
        if seen > allowed:
            raise refusal(name, "inflates to far more than its picture", "do not use it: it was made to do harm")


def _from_libtiff(page: Any, payload: bytes, name: str, *, indices: bool) -> Raster:
    payload = _neutral(page, payload)
    bits, samples = int(page.bitspersample), int(page.samplesperpixel)
    if (page.dtype is not None and page.dtype.kind == "f") or (bits == 16 and samples > 1):
        return from_opencv(payload, name)
    with PILImage.open(io.BytesIO(payload), formats=["TIFF"]) as image:
        return from_pillow(image, indices=indices)


def _neutral(page: Any, payload: bytes) -> bytes:
    """The file with its orientation set to 1: Pillow and OpenCV would turn it, and we turn it once, for all."""
    tag = page.tags.get(_ORIENTATION)
    if tag is None or tag.value == 1:
        return payload
    changed = bytearray(payload)
    changed[tag.valueoffset : tag.valueoffset + 2] = (1).to_bytes(2, "little" if payload[:2] == b"II" else "big")
    return bytes(changed)
