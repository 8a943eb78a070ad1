"""Images: one decoder for the whole product, one orientation step, one normalisation."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image as PILImage

from labeler.files import sha256_of
from labeler.images.decoder import Decoded, decode, decode_indices
from labeler.images.display import load_8bit, load_rgb8, thumbnail
from labeler.images.pyramid import Pyramid
from labeler.images.raster import PIXEL_LIMIT, opencv
from labeler.images.reading import read, refusal, shown
from labeler.records import Image, StreamItem

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"))
"""Names that are looked at in folders (lower case); the decoder is chosen by content."""


def load(path: Path, *, sha256: str | None = None) -> Image:
    """The upright image, (H, W) or (H, W, 3), uint8 or uint16.

    ImageError if it cannot be read, or is not the file with this ``sha256`` any more.
    """
    payload = read(path)
    if sha256 is not None and sha256_of(payload) != sha256:
        raise refusal(
            shown(path.name),
            "has changed on disk since it was added",
            "put the old file back or give the new one its own name",
        )
    return decode(payload, name=shown(path.name)).image


def probe(path: Path) -> StreamItem:
    """Read the file once: hash and full decode. ImageError if it cannot be used."""
    payload = read(path)
    decoded = decode(payload, name=shown(path.name))
    height, width = decoded.image.shape[:2]
    return StreamItem(path, sha256_of(payload), width, height, decoded.note)


def encode(image: Image) -> bytes:
    """PNG of an (H, W) or (H, W, 3) image, uint8 or uint16; the same pixels always give the same bytes."""
    if image.ndim == 3 and image.dtype == np.uint16:
        cv2 = opencv()
        encoded, buffer = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))
        assert encoded, "OpenCV writes every 16-bit RGB array to memory"
        return bytes(buffer)
    stream = io.BytesIO()
    PILImage.fromarray(np.ascontiguousarray(image)).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


__all__ = [
    "PIXEL_LIMIT",
    "SUFFIXES",
    "Decoded",
    "Pyramid",
    "decode",
    "decode_indices",
    "encode",
    "load",
    "load_8bit",
    "load_rgb8",
    "opencv",
    "probe",
    "read",
    "refusal",
    "shown",
    "thumbnail",
]
