"""The mask codec: PNG, 8-bit grey, the class index per pixel; and masks of other programs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeler import files, images
from labeler.errors import ImageError, MaskError
from labeler.images.containers import PNG_SIGNATURE
from labeler.records import Mask

REFERENCE_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")  # in order of preference
_GREY_8 = b"\x08\x00"  # depth and colour type in the header


def encode(mask: Mask) -> bytes:
    """PNG bytes of a mask (H, W) uint8; the same mask always gives the same bytes."""
    assert mask.ndim == 2, mask.shape
    assert mask.dtype == np.uint8, mask.dtype
    return images.encode(mask)


def decode(payload: bytes, *, name: str) -> Mask:
    """The mask (H, W) uint8 of bytes that ``encode`` wrote; MaskError for anything else, never an empty mask."""
    if not payload.startswith(PNG_SIGNATURE) or payload[24:26] != _GREY_8:
        raise MaskError(f"{name}: is no mask file (8-bit grey PNG); restore it from a backup or label the image again")
    try:
        return images.decode(payload, name=name).image
    except ImageError as error:
        raise MaskError(str(error)) from error


def save(path: Path, mask: Mask, *, durable: bool = True) -> str:
    """Write the mask whole or not at all; SHA-256 of the file's bytes. StorageError where the disk refuses."""
    payload = encode(mask)
    files.write_atomically(path, payload, durable=durable)
    return files.sha256_of(payload)


def load(path: Path, *, sha256: str | None = None) -> Mask:
    """The mask of a file; MaskError when it is missing, damaged, or not the one with this ``sha256``."""
    name = images.shown(path.name)
    payload = _read(path)
    if sha256 is not None and files.sha256_of(payload) != sha256:
        raise MaskError(
            f"{name}: is not the mask that was saved (its hash differs); restore it or label the image again"
        )
    return decode(payload, name=name)


def _read(path: Path) -> bytes:
    try:
        return images.read(path)
    except ImageError as error:
        raise MaskError(str(error)) from error


def checked(mask: NDArray[Any], *, shape: tuple[int, int], classes: int, name: str) -> Mask:
    """The mask as uint8 (H, W); MaskError unless it has this shape, integers or booleans, and values 0..classes."""
    if mask.shape != shape:
        wanted, found = f"{shape[1]} x {shape[0]}", " x ".join(map(str, mask.shape[::-1]))
        raise MaskError(f"{name}: the mask is {found} pixels, the image {wanted}; use the mask of this image")
    if mask.dtype.kind not in "bui":
        raise MaskError(f"{name}: the mask holds {mask.dtype} values; save class numbers 0 to {classes}")
    if mask.size and (int(mask.min()) < 0 or int(mask.max()) > classes):
        worst = int(mask.max()) if int(mask.max()) > classes else int(mask.min())
        raise MaskError(f"{name}: the mask has class {worst}, known are 0 to {classes}; correct it or add the class")
    return np.ascontiguousarray(mask, dtype=np.uint8)


def load_reference(path: Path, *, classes: int) -> Mask:
    """A mask that another program made (PNG, BMP or TIFF), as class indices.

    With one class: 0/1, 0/255, 0/65535 or bilevel. With more: class indices, also as a palette (the colours do not
    count). RGB with equal channels is grey. MaskError for all else, as it would have to be guessed.
    """
    name = images.shown(path.name)
    try:
        pixels = images.decode_indices(_read(path), name=name)
    except ImageError as error:
        raise MaskError(str(error)) from error
    if pixels.ndim == 3:
        if not (np.array_equal(pixels[..., 0], pixels[..., 1]) and np.array_equal(pixels[..., 0], pixels[..., 2])):
            raise MaskError(f"{name}: is coloured, and no mask; save class numbers 0 to {classes} as grey")
        pixels = pixels[..., 0]
    if classes == 1:
        pixels = _binary(pixels, name)
    return checked(pixels, shape=pixels.shape, classes=classes, name=name)


def _binary(pixels: NDArray[Any], name: str) -> NDArray[Any]:
    highest = int(pixels.max())
    if highest not in (0, 1, int(np.iinfo(pixels.dtype).max)) or not bool(((pixels == 0) | (pixels == highest)).all()):
        raise MaskError(
            f"{name}: has values besides 0 and 255 (or 1), and one class is set up; save it with two values"
        )
    return pixels > 0


def find_pairs(images: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Image -> mask file in ``folder`` (searched recursively) with the same stem, or the stem and ``_mask``.

    Of several the one whose parent folders agree best; where that leaves a doubt, none. An image whose whole name
    is a mask's stem (``a.jpg`` and ``a.jpg.png``) goes first, so that ``a.png`` and ``a.jpg`` can both have one.
    """
    return pair_with(images, by_stem(folder))


def by_stem(folder: Path) -> dict[str, list[Path]]:
    """Stem -> mask files with it in ``folder`` (searched recursively, which may take seconds)."""
    masks: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in REFERENCE_SUFFIXES and path.is_file():
            masks[path.stem].append(path)
    return dict(masks)


def pair_with(images: Sequence[Path], masks: dict[str, list[Path]]) -> dict[Path, Path]:
    """``find_pairs`` in what ``by_stem`` has listed."""
    found = {image: mask for image in images if (mask := _best(image, masks)) is not None}
    claims: dict[Path, list[Path]] = defaultdict(list)
    for image, mask in found.items():
        claims[mask].append(image)
    for mask, claimants in claims.items():
        same_name = [image for image in claimants if mask.name == image.name]
        for image in claimants if len(claimants) > 1 else ():
            if same_name != [image]:
                del found[image]
    return found


def _best(image: Path, masks: dict[str, list[Path]]) -> Path | None:
    for stem in (image.name, image.stem, f"{image.stem}_mask"):
        candidates = [mask for mask in masks.get(stem, ()) if mask != image]
        if candidates:
            ranked = sorted((_rank(image, mask), mask) for mask in candidates)
            doubtful = len(ranked) > 1 and ranked[0][0] == ranked[1][0]
            return None if doubtful else ranked[0][1]
    return None


def _rank(image: Path, mask: Path) -> tuple[int, int]:
    """Fewer agreeing parent folders rank later, then the less usual suffix."""
    agreeing = 0
    for ours, theirs in zip(reversed(image.parent.parts), reversed(mask.parent.parts), strict=False):
        if ours != theirs:
            break
        agreeing += 1
    return -agreeing, REFERENCE_SUFFIXES.index(mask.suffix.lower())
