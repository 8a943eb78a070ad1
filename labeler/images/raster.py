"""Pixels as the decoders hand them out, and the one normalisation and orientation step."""

from __future__ import annotations

import math
import os
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from labeler.errors import ImageError
from labeler.images.reading import refusal

PIXEL_LIMIT = 400_000_000  # declared by the header, looked at before anything is decoded: 20,000 x 20,000
BYTE_LIMIT = 2 * 10**9  # of the decoded pixels
_COPIES = 2.5  # times the decoded pixels that decoding takes at its peak
_ALWAYS_THERE = 500 * 10**6  # bytes for which nobody is asked
# Our limit comes first and is the same for every format; Pillow's own would print warnings below it.
PILImage.MAX_IMAGE_PIXELS = None

# A damaged file makes the decoders raise nearly anything; at this seam that is the file's fault. No MemoryError:
# it is answered by another sentence.
DECODER_FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    Warning,
    struct.error,
    zlib.error,
)

_STRIP_PIXELS = 20_000_000
_TRANSPOSED = frozenset((5, 6, 7, 8))


@dataclass(frozen=True, slots=True)
class Raster:
    """Pixels (H, W) or (H, W, channels) of any type as stored, what to tell the person, and the EXIF orientation."""

    pixels: NDArray[Any]
    notes: tuple[str, ...] = ()
    orientation: int = 1


def check_size(width: int, height: int, bytes_per_pixel: int, name: str) -> None:
    """Refuse what would not fit before a byte of it is decoded."""
    if width < 1 or height < 1:
        raise refusal(name, f"has no pixels ({width} x {height})", "save it again from the program that made it")
    if width * height > PIXEL_LIMIT or width * height * bytes_per_pixel > BYTE_LIMIT:
        raise refusal(name, f"is too large ({width:,} x {height:,} pixels)", "cut it into smaller images")
    # Linux promises more memory than there is and then ends the program: no MemoryError would be seen.
    needed = _COPIES * width * height * bytes_per_pixel
    if needed > _ALWAYS_THERE and needed > (free := _free_memory()):
        what = f"needs {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free"
        raise refusal(name, what, "close other programs or cut it into smaller images")


def _free_memory() -> float:
    """Bytes that can be had without swapping; infinite where the system does not say."""
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text("ascii"), re.MULTILINE)
    except OSError:
        return math.inf
    return int(found[1]) * 1024 if found else math.inf


def undecodable(name: str, error: BaseException) -> ImageError:
    """What a decoder's complaint becomes."""
    if isinstance(error, MemoryError):
        return refusal(name, "needs more memory than there is", "close other programs or cut it into smaller images")
    why = " ".join(str(error).split())[:120] or type(error).__name__
    return refusal(name, f"is damaged or cut ({why})", "copy it again from where it came from")


def from_pillow(image: PILImage.Image, *, indices: bool) -> Raster:
    """Pixels of an opened Pillow image as grey or RGB; alpha is dropped, never blended.

    ``indices`` keeps what a mask means: palette indices, and 0/1 for bilevel.
    """
    mode = image.mode
    if mode == "1":
        pixels = _array(image).astype(np.uint8)
        return Raster(pixels if indices else pixels * np.uint8(255))
    if mode == "P" and indices:
        return Raster(_array(image))
    if mode in ("P", "PA"):
        image.load()
        transparent = "transparency" in image.info or mode == "PA"
        image.info.pop("transparency", None)
        notes = ("palette turned into RGB",) + (("transparency ignored",) if transparent else ())
        return Raster(_array(image.convert("RGB")), notes)
    if mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        return Raster(_array(image.convert("RGB")), (f"{mode} turned into RGB",))
    if mode in ("RGBX", "RGB"):
        return Raster(_array(image)[..., :3])
    return without_alpha(_array(image)) if mode in ("LA", "La", "RGBA", "RGBa") else Raster(_array(image))


def _array(image: PILImage.Image) -> NDArray[Any]:
    """Pixels as an array, strip by strip where the image is large: Pillow's own way holds three copies at once."""
    width, height = image.size
    if width * height <= _STRIP_PIXELS:
        return np.array(image)
    step = max(1, _STRIP_PIXELS // width)
    image.load()
    first = np.asarray(image.crop((0, 0, width, min(step, height))))
    pixels = np.empty((height, *first.shape[1:]), first.dtype)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, width, bottom)))
    return pixels


def from_opencv(payload: bytes, name: str) -> Raster:
    """Pixels by OpenCV: 16 bit RGB, which Pillow would cut to 8 bit, and float in compressed TIFF."""
    cv2 = opencv()
    try:
        pixels = cv2.imdecode(np.frombuffer(payload, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise undecodable(name, error) from error
    if pixels is None:
        raise refusal(name, "is damaged or of a kind that is not read", "save it again as PNG or uncompressed TIFF")
    if pixels.ndim == 2 or pixels.shape[2] not in (3, 4):
        return Raster(np.squeeze(pixels))
    # Writable and contiguous at once, and the largest copy only once.
    colours = np.ascontiguousarray(pixels[..., 2::-1])
    return Raster(colours, transparency_note(pixels[..., 3]) if pixels.shape[2] == 4 else ())


def opencv() -> ModuleType:
    """OpenCV, imported when first needed (0.2 s) and told to be silent: its complaints become our sentences."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    module: ModuleType = cv2
    return module


def without_alpha(pixels: NDArray[Any]) -> Raster:
    """(H, W, 2) as grey and (H, W, 4) as RGB, the last channel dropped."""
    notes = transparency_note(pixels[..., -1])
    return Raster(pixels[..., 0].copy() if pixels.shape[2] == 2 else np.ascontiguousarray(pixels[..., :3]), notes)


def transparency_note(alpha: NDArray[Any]) -> tuple[str, ...]:
    """A note where something was transparent; a fully opaque alpha channel is no loss."""
    opaque = np.iinfo(alpha.dtype).max if alpha.dtype.kind == "u" else 1
    return () if bool((alpha == opaque).all()) else ("transparency ignored",)


def normalised(raster: Raster, name: str) -> Raster:
    """(H, W) or (H, W, 3), uint8 or uint16: the only kinds that the rest of the product knows.

    Signed integers are shifted by half their range (the same for every image); floats and 32-bit integers are
    scaled from their least..greatest value to 0..65535, which is noted. NaN and infinity are refused.
    """
    pixels = raster.pixels
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        channels = pixels.shape[2] if pixels.ndim == 3 else f"{pixels.ndim} dimensions of"
        raise refusal(name, f"has {channels} channels", "save it as grey or RGB")
    if pixels.dtype.kind == "b":
        return Raster(pixels.astype(np.uint8) * np.uint8(255), raster.notes, raster.orientation)
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if pixels.dtype in (np.uint8, np.uint16):
        return Raster(pixels, raster.notes, raster.orientation)
    pixels, note = _shifted(pixels) if pixels.dtype in (np.int8, np.int16) else _scaled(pixels, name)
    return Raster(pixels, (*raster.notes, *note), raster.orientation)


def _shifted(pixels: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
    half = 2 ** (8 * pixels.itemsize - 1)
    unsigned = np.dtype(f"u{pixels.itemsize}")
    return pixels.view(unsigned) ^ unsigned.type(half), (f"signed values raised by {half}",)


def _scaled(pixels: NDArray[Any], name: str) -> tuple[NDArray[np.uint16], tuple[str, ...]]:
    if pixels.dtype.kind not in "iuf":
        raise refusal(name, f"has pixels of type {pixels.dtype}", "save it as 8 or 16 bit grey or RGB")
    low, high = pixels.min().item(), pixels.max().item()  # NaN spreads through both
    if not np.isfinite(low) or not np.isfinite(high):
        raise refusal(name, "has pixels that are NaN or infinite", "replace them by numbers and save it again")
    if pixels.dtype.kind in "iu" and low >= 0 and high <= 65535:
        return pixels.astype(np.uint16), ()
    scaled = np.zeros(pixels.shape, np.uint16)
    # Halved first: the span of the whole float range is infinite.
    span = high / 2 - low / 2
    for row in range(pixels.shape[0]) if span > 0 else ():
        share = (pixels[row].astype(np.float64) / 2 - low / 2) / span
        scaled[row] = np.rint(np.clip(share, 0, 1) * 65535).astype(np.uint16)
    return scaled, (f"values {low:.6g} to {high:.6g} scaled to 16 bit",)


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn and mirror as the EXIF orientation 1..8 says; other values are as good as none. C-contiguous."""
    if orientation in _TRANSPOSED:
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
