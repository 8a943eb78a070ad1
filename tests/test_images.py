"""The decoder: odd, damaged and hostile files, one answer for all of the product."""

from __future__ import annotations

import io
import os
import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image as PILImage

from labeler import images
from labeler.errors import ImageError

RNG = np.random.default_rng(7)
GREY = RNG.integers(0, 256, (24, 36), dtype=np.uint8)
RGB = RNG.integers(0, 256, (24, 36, 3), dtype=np.uint8)
GREY16 = RNG.integers(0, 65536, (24, 36), dtype=np.uint16)
RGB16 = RNG.integers(0, 65536, (24, 36, 3), dtype=np.uint16)
SMOOTH = np.add.outer(np.arange(64), np.arange(96)).astype(np.uint8)


def saved(pixels: NDArray[Any] | PILImage.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, PILImage.Image) else PILImage.fromarray(pixels)
    image.save(stream, kind, **options)
    return stream.getvalue()


def tiff(pixels: NDArray[Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **options)
    return stream.getvalue()


def by_opencv(suffix: str, pixels: NDArray[Any]) -> bytes:
    done, buffer = cv2.imencode(suffix, pixels)
    assert done
    return buffer.tobytes()


def chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def png_of(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 0) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def with_orientation(value: int, kind: str, pixels: NDArray[Any], **options: Any) -> bytes:
    exif = PILImage.Exif()
    exif[0x0112] = value
    return saved(pixels, kind, exif=exif.tobytes(), **options)


def decoded(payload: bytes) -> images.Decoded:
    return images.decode(payload, name="a.png")


def refused(payload: bytes) -> str:
    with pytest.raises(ImageError, match=r"a\.png") as caught:
        decoded(payload)
    text = str(caught.value)
    assert "; " in text, "no way out is given"
    return text


TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(np.swapaxes(a, 0, 1), 2),
    8: lambda a: np.rot90(a, 1),
    99: lambda a: a,
    0: lambda a: a,
}

LOSSLESS = {
    "grey PNG": (saved(GREY, "PNG"), GREY),
    "RGB PNG": (saved(RGB, "PNG"), RGB),
    "interlaced-free palette PNG": (saved(PILImage.fromarray(RGB // 128 * 255).convert("P"), "PNG"), RGB // 128 * 255),
    "16-bit grey PNG": (saved(GREY16, "PNG"), GREY16),
    "16-bit RGB PNG": (by_opencv(".png", RGB16[..., ::-1]), RGB16),
    "grey BMP": (saved(GREY, "BMP"), GREY),
    "RGB BMP": (saved(RGB, "BMP"), RGB),
    "lossless WebP": (saved(RGB, "WEBP", lossless=True), RGB),
    "grey TIFF": (tiff(GREY), GREY),
    "RGB TIFF": (tiff(RGB, photometric="rgb"), RGB),
    "planar RGB TIFF": (tiff(np.moveaxis(RGB, 2, 0), photometric="rgb", planarconfig="separate"), RGB),
    "deflated TIFF with predictor": (tiff(RGB16, photometric="rgb", compression="zlib", predictor=True), RGB16),
    "tiled TIFF": (tiff(GREY16, tile=(16, 16)), GREY16),
    "big-endian 16-bit TIFF": (tiff(GREY16.astype(">u2"), byteorder=">"), GREY16),
    "BigTIFF": (tiff(GREY, bigtiff=True), GREY),
    "16-bit RGB TIFF": (tiff(RGB16, photometric="rgb"), RGB16),
    "LZW 16-bit RGB TIFF": (by_opencv(".tif", RGB16[..., ::-1]), RGB16),
    "LZW grey TIFF": (saved(GREY, "TIFF", compression="tiff_lzw"), GREY),
    "LZW RGB TIFF": (saved(RGB, "TIFF", compression="tiff_lzw"), RGB),
    "PackBits TIFF": (saved(GREY, "TIFF", compression="packbits"), GREY),
    "white-is-zero TIFF": (tiff(GREY, photometric="miniswhite"), ~GREY),
    "bilevel TIFF": (saved(PILImage.fromarray(GREY > 99), "TIFF"), (GREY > 99).astype(np.uint8) * 255),
    "fax TIFF": (
        saved(PILImage.fromarray(GREY > 99), "TIFF", compression="group4"),
        (GREY > 99).astype(np.uint8) * 255,
    ),
    "bilevel PNG": (saved(PILImage.fromarray(GREY > 99), "PNG"), (GREY > 99).astype(np.uint8) * 255),
    "signed TIFF": (tiff(GREY16.view(np.int16)), GREY16 ^ np.uint16(0x8000)),
    "32-bit TIFF with small values": (tiff(GREY16.astype(np.uint32)), GREY16),
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_files_give_their_pixels_back(kind: str) -> None:
    payload, pixels = LOSSLESS[kind]
    result = decoded(payload)
    assert result.image.dtype == pixels.dtype
    assert result.bit_depth == 8 * pixels.itemsize
    np.testing.assert_array_equal(result.image, pixels)
    assert ("16 bit" in result.note) == (pixels.dtype == np.uint16)


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "LZW TIFF", "LZW 16-bit RGB TIFF"])
def test_orientation_is_applied_exactly_once(kind: str, orientation: int) -> None:
    if "TIFF" in kind:
        payload, stored = oriented_tiff(kind, orientation)
    else:
        options = {"PNG": {}, "JPEG": {"quality": 95}, "WEBP": {"lossless": True}}[kind]
        payload = with_orientation(orientation, kind, RGB if kind != "JPEG" else SMOOTH, **options)
        stored = decoded(with_orientation(1, kind, RGB if kind != "JPEG" else SMOOTH, **options)).image
    result = decoded(payload)
    np.testing.assert_array_equal(result.image, TURNS[orientation](stored))
    assert result.image.flags.c_contiguous
    assert result.oriented == (2 <= orientation <= 8)
    assert ("upright" in result.note) == result.oriented


def oriented_tiff(kind: str, orientation: int) -> tuple[bytes, NDArray[Any]]:
    payload, stored = {
        "TIFF": (tiff(GREY, extratags=[(274, 3, 1, 1, True)]), GREY),
        "LZW TIFF": (saved(GREY, "TIFF", compression="tiff_lzw", tiffinfo={274: 1}), GREY),
        "LZW 16-bit RGB TIFF": (by_opencv(".tif", RGB16[..., ::-1]), RGB16),
    }[kind]
    with tifffile.TiffFile(io.BytesIO(payload)) as file:
        tag = file.pages[0].tags.get(274)  # type: ignore[union-attr]
        if tag is None:
            tag = file.pages[0].tags[284]  # type: ignore[union-attr]
            payload = payload[: tag.offset] + struct.pack("<H", 274) + payload[tag.offset + 2 :]
        changed = bytearray(payload)
        changed[tag.valueoffset : tag.valueoffset + 2] = struct.pack("<H", orientation)
    return bytes(changed), stored


def test_content_decides_not_the_name() -> None:
    np.testing.assert_array_equal(images.decode(saved(RGB, "PNG"), name="a.jpg").image, RGB)


def test_alpha_is_dropped_and_only_noted_where_something_was_transparent() -> None:
    alpha = np.full((24, 36, 1), 255, np.uint8)
    opaque = decoded(saved(np.concatenate([RGB, alpha], 2), "PNG"))
    np.testing.assert_array_equal(opaque.image, RGB)
    assert opaque.note == ""
    alpha[3, 4] = 0
    glassy = decoded(saved(np.concatenate([RGB, alpha], 2), "PNG"))
    np.testing.assert_array_equal(glassy.image, RGB)
    assert glassy.note == "transparency ignored"
    grey = decoded(saved(PILImage.fromarray(np.dstack([GREY, alpha]), "LA"), "PNG"))
    np.testing.assert_array_equal(grey.image, GREY)
    deep = decoded(by_opencv(".png", np.dstack([RGB16[..., ::-1], np.full((24, 36), 9, np.uint16)])))
    np.testing.assert_array_equal(deep.image, RGB16)
    assert deep.note == "16 bit; transparency ignored"
    in_tiff = decoded(tiff(np.dstack([RGB, alpha]), photometric="rgb", extrasamples=["unassalpha"]))
    np.testing.assert_array_equal(in_tiff.image, RGB)
    assert in_tiff.note == "transparency ignored"


def test_grey_with_alpha_of_16_bit_keeps_16_bit() -> None:
    rows = np.dstack([GREY16, GREY16]).astype(">u2")
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    result = decoded(png_of(36, 24, chunk(b"IDAT", zlib.compress(raw)), depth=16, colour=4))
    np.testing.assert_array_equal(result.image, GREY16)


def test_palette_with_transparency_becomes_rgb() -> None:
    picture = PILImage.fromarray(RGB).quantize(16)
    payload = saved(picture, "PNG", transparency=bytes([0, 128, 255]))
    result = decoded(payload)
    np.testing.assert_array_equal(result.image, np.array(picture.convert("RGB")))
    assert result.note == "palette turned into RGB; transparency ignored"


def test_palette_tiff_becomes_rgb() -> None:
    picture = PILImage.fromarray(RGB).quantize(16)
    for compression in ("raw", "tiff_lzw"):
        result = decoded(saved(picture, "TIFF", compression=compression))
        np.testing.assert_array_equal(result.image, np.array(picture.convert("RGB")))


def test_cmyk_becomes_rgb_the_same_from_jpeg_and_tiff() -> None:
    inks = PILImage.fromarray(np.full((16, 16, 4), (255, 0, 0, 0), np.uint8), "CMYK")
    for payload in (saved(inks, "JPEG", quality=100), saved(inks, "TIFF"), saved(inks, "TIFF", compression="tiff_lzw")):
        result = decoded(payload)
        assert result.image.shape == (16, 16, 3)
        assert abs(result.image.astype(int) - (0, 255, 255)).max() <= 2
        assert result.note == "CMYK turned into RGB"


def test_equal_channels_stay_rgb() -> None:
    assert decoded(saved(np.dstack([GREY] * 3), "PNG")).image.shape == (24, 36, 3)


def test_float_is_scaled_to_16_bit_and_says_so() -> None:
    values = np.linspace(-1.5, 2.5, 24 * 36, dtype=np.float32).reshape(24, 36)
    for payload in (tiff(values), by_opencv(".tif", values), tiff(values.astype(np.float64))):
        result = decoded(payload)
        assert result.image.dtype == np.uint16
        assert result.image[0, 0] == 0
        assert result.image[-1, -1] == 65535
        np.testing.assert_allclose(result.image, (values + 1.5) / 4 * 65535, atol=0.51)
        assert result.note == "16 bit; values -1.5 to 2.5 scaled to 16 bit"


def test_float_of_one_value_and_of_the_whole_range_does_not_overflow() -> None:
    assert not decoded(tiff(np.full((4, 4), 3.5, np.float32))).image.any()
    extreme = np.array([[-np.finfo(np.float64).max, 0, np.finfo(np.float64).max]])
    assert decoded(tiff(extreme)).image.tolist() == [[0, 32768, 65535]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused(value: float) -> None:
    values = np.ones((8, 8), np.float32)
    values[2, 3] = value
    assert "NaN or infinite" in refused(tiff(values))


def test_several_pages_and_frames_give_the_first_and_say_so() -> None:
    pages = RNG.integers(0, 256, (7, 24, 36), dtype=np.uint8)
    result = decoded(tiff(pages, photometric="minisblack"))
    np.testing.assert_array_equal(result.image, pages[0])
    assert result.note == "first of 7 pages"
    assert decoded(tiff(pages, imagej=True)).note == "first of 7 pages"
    stills = [PILImage.fromarray(page) for page in pages[:3]]
    moving = decoded(saved(stills[0], "PNG", save_all=True, append_images=stills[1:]))
    np.testing.assert_array_equal(moving.image, pages[0])
    assert moving.note == "first of 3 frames"
    webp = saved(
        stills[0].convert("RGB"), "WEBP", save_all=True, append_images=[stills[1].convert("RGB")], lossless=True
    )
    np.testing.assert_array_equal(decoded(webp).image[..., 0], pages[0])
    assert decoded(webp).note == "first of 2 frames"


@pytest.mark.parametrize("channels", [5, 7])
def test_odd_numbers_of_channels_are_refused(channels: int) -> None:
    pixels = np.zeros((8, 9, channels), np.uint8)
    assert f"has {channels} channels" in refused(tiff(pixels, photometric="minisblack", planarconfig="contig"))
    assert f"has {channels} channels" in refused(tiff(pixels, photometric="rgb", planarconfig="contig"))


FOREIGN = {
    "is empty": b"",
    "no image": b"just some text\n" * 9,
    "filled with zeros": bytes(5000),
    "a GIF": saved(GREY, "GIF"),
    "a PDF": b"%PDF-1.7\n",
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "XML or SVG": b"\n<?xml version='1.0'?><svg/>",
    "numpy": b"\x93NUMPY\x01\0v\0{}",
    "HEIC": b"\0\0\0\x18ftypheic",
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_no_image_is_refused_by_content(what: str) -> None:
    assert what in refused(FOREIGN[what])


WHOLE = {
    "PNG": saved(np.tile(RGB, (4, 4, 1)), "PNG"),
    "JPEG": saved(np.tile(RGB, (4, 4, 1)), "JPEG"),
    "progressive JPEG": saved(np.tile(RGB, (4, 4, 1)), "JPEG", progressive=True),
    "BMP": saved(np.tile(RGB, (4, 4, 1)), "BMP"),
    "WEBP": saved(np.tile(RGB, (4, 4, 1)), "WEBP"),
    "TIFF": tiff(np.tile(RGB, (4, 4, 1)), photometric="rgb"),
    "LZW TIFF": saved(np.tile(RGB, (4, 4, 1)), "TIFF", compression="tiff_lzw"),
    "deflated TIFF": tiff(np.tile(RGB, (4, 4, 1)), photometric="rgb", compression="zlib"),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_cut_files_are_refused_wherever_they_are_cut(kind: str) -> None:
    whole = WHOLE[kind]
    for length in (len(whole) - 1, len(whole) - 2, len(whole) - 20, len(whole) // 2, 60, 26, 8, 3):
        if kind in ("LZW TIFF",) and length >= len(whole) - 20:
            continue  # Pillow writes the tags last: the cut loses no pixel
        refused(whole[:length])


def test_png_without_its_end_is_refused() -> None:
    assert "ends before" in refused(saved(GREY, "PNG")[:-12])


def test_jpeg_followed_by_other_bytes_is_read() -> None:
    whole = saved(RGB, "JPEG")
    np.testing.assert_array_equal(decoded(whole + b"\xff\xda trailer" * 9).image, decoded(whole).image)


@pytest.mark.parametrize("kind", WHOLE)
def test_flipped_bits_never_raise_anything_but_image_errors(kind: str) -> None:
    rng = np.random.default_rng(3)
    whole = WHOLE[kind]
    for _ in range(60):
        damaged = bytearray(whole)
        for position in rng.integers(0, min(len(whole), 2000), 3):
            damaged[position] ^= 1 << int(rng.integers(8))
        try:
            result = decoded(bytes(damaged))
        except ImageError:
            continue
        assert result.image.dtype in (np.uint8, np.uint16)


def test_flipped_bit_in_the_pixels_of_a_png_is_noticed() -> None:
    whole = bytearray(saved(GREY, "PNG", compress_level=0))
    whole[400] ^= 4
    assert "checksum" in refused(bytes(whole))


@pytest.mark.parametrize("shape", [(1, 1), (1, 17), (17, 1)])
def test_tiny_images_are_images(shape: tuple[int, int]) -> None:
    for kind in ("PNG", "BMP", "TIFF"):
        assert decoded(saved(np.zeros(shape, np.uint8), kind)).image.shape == shape


def bombs() -> dict[str, bytes]:
    huge_bmp = bytearray(saved(GREY, "BMP"))
    huge_bmp[18:26] = struct.pack("<ii", 100_000, 100_000)
    huge_jpeg = bytearray(saved(GREY, "JPEG"))
    frame = huge_jpeg.index(b"\xff\xc0")
    huge_jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 65500, 65500)
    huge_tiff = tiff(np.zeros((64, 64), np.uint8), compression="zlib", metadata=None)
    with tifffile.TiffFile(io.BytesIO(huge_tiff)) as file:
        for code in (256, 257, 278):
            tag = file.pages[0].tags[code]  # type: ignore[union-attr]
            width = {3: 2, 4: 4}[tag.dtype]
            value = min(100_000, 256**width - 1).to_bytes(width, "little")
            huge_tiff = huge_tiff[: tag.valueoffset] + value + huge_tiff[tag.valueoffset + width :]
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return {
        "PNG": png_of(100_000, 100_000, data),
        "16-bit PNG": png_of(19_000, 19_000, data, depth=16, colour=6),
        "BMP": bytes(huge_bmp),
        "JPEG": bytes(huge_jpeg),
        "TIFF": huge_tiff,
    }


@pytest.mark.parametrize("kind", ["PNG", "16-bit PNG", "BMP", "JPEG", "TIFF"])
def test_header_that_declares_too_many_pixels_is_refused_before_decoding(kind: str) -> None:
    assert "too large" in refused(bombs()[kind])


def test_zero_dimensions_are_refused() -> None:
    refused(png_of(0, 10, chunk(b"IDAT", zlib.compress(b""))))
    refused(png_of(10, 0, chunk(b"IDAT", zlib.compress(b""))))


def test_text_and_profile_bombs_in_a_png_do_not_matter() -> None:
    inflating = zlib.compress(bytes(200 * 2**20), 9)
    whole = saved(GREY, "PNG")
    bombed = whole[:33] + chunk(b"zTXt", b"a\0\0" + inflating) + chunk(b"iCCP", b"a\0\0" + inflating) + whole[33:]
    np.testing.assert_array_equal(decoded(bombed).image, GREY)


def test_damaged_colour_profile_and_exif_are_ignored() -> None:
    np.testing.assert_array_equal(decoded(saved(RGB, "PNG", icc_profile=b"nonsense")).image, RGB)
    assert decoded(saved(RGB, "JPEG", icc_profile=b"nonsense")).image.shape == RGB.shape
    assert decoded(saved(RGB, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0")).image.shape == RGB.shape


def test_deflate_bomb_in_a_tiff_strip_is_refused_in_little_memory() -> None:
    small = tiff(np.zeros((64, 64), np.uint8), compression="zlib", metadata=None)
    bomb = zlib.compress(bytes(300 * 2**20), 9)
    with tifffile.TiffFile(io.BytesIO(small)) as file:
        tags = file.pages[0].tags  # type: ignore[union-attr]
        changed = bytearray(small)
        for code, value in ((273, len(small)), (279, len(bomb))):
            assert tags[code].dtype == 4
            changed[tags[code].valueoffset : tags[code].valueoffset + 4] = value.to_bytes(4, "little")
    assert "inflates" in refused(bytes(changed) + bomb)


def test_tiff_whose_pages_form_a_circle_ends() -> None:
    whole = bytearray(tiff(GREY, metadata=None))
    start = struct.unpack_from("<I", whole, 4)[0]
    count = struct.unpack_from("<H", whole, start)[0]
    struct.pack_into("<I", whole, start + 2 + 12 * count, start)
    np.testing.assert_array_equal(decoded(bytes(whole)).image, GREY)


def test_image_that_is_larger_than_the_free_memory_is_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    large = png_of(15_000, 15_000, chunk(b"IDAT", b""), colour=2)
    monkeypatch.setattr("labeler.images.raster._free_memory", lambda: 10**9)
    assert "needs 2.2 GB of memory, and 1.0 GB are free" in refused(large)
    np.testing.assert_array_equal(decoded(saved(GREY, "PNG")).image, GREY)


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is dependable on Linux only")
def test_image_that_does_not_fit_in_memory_is_an_image_error(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    row = zlib.compressobj(1)
    body = row.compress(bytes(15_001) * 15_000) + row.flush()
    path.write_bytes(png_of(15_000, 15_000, chunk(b"IDAT", body)))
    script = (
        "import sys; from pathlib import Path; from labeler import images; from labeler.errors import ImageError\n"
        "try: images.load(Path(sys.argv[1]))\nexcept ImageError as error: print(error)"
    )
    limit = 500 * 2**20
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[1],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert "needs more memory" in done.stdout, done.stderr


# Files


def test_probe_tells_hash_size_and_note(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(with_orientation(6, "JPEG", SMOOTH))
    item = images.probe(path)
    assert (item.width, item.height) == (64, 96)
    assert item.sha256 == images.sha256_of(path.read_bytes())
    assert item.note == "turned upright by its EXIF orientation"


def test_load_refuses_a_file_that_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(saved(GREY, "PNG"))
    registered = images.probe(path).sha256
    np.testing.assert_array_equal(images.load(path, sha256=registered), GREY)
    path.write_bytes(saved(~GREY, "PNG"))
    with pytest.raises(ImageError, match="has changed on disk"):
        images.load(path, sha256=registered)


def test_missing_files_folders_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "device.png").symlink_to("/dev/zero")
    (tmp_path / "circle.png").symlink_to(tmp_path / "circle.png")
    for name, what in {
        "gone.png": "is missing",
        "pipe.png": "is a pipe",
        "folder.png": "is a folder",
        "device.png": "device",
        "circle.png": "cannot be read",
        "x" * 300: "cannot be read",
        "nul\0.png": "no name",
    }.items():
        with pytest.raises(ImageError, match=what):
            images.load(tmp_path / name)


def test_file_that_is_absurdly_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.png").open("wb") as stream:
        stream.truncate(2**42)
    with pytest.raises(ImageError, match="too large"):
        images.load(tmp_path / "a.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_without_permission_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(saved(GREY, "PNG"))
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(ImageError, match="permission"):
        images.load(tmp_path / "a.png")


def test_names_are_shown_on_one_line_and_printable() -> None:
    assert images.shown("a\nb\x1b[31m\u202e.png") == "a\\nb\\x1b[31m\\u202e.png"
    assert images.shown(os.fsdecode(b"caf\xe9.png")) == "caf\\xe9.png"
    assert images.shown("größe 猫.png") == "größe 猫.png"


@pytest.mark.parametrize("pixels", [GREY, RGB, GREY16, RGB16], ids=["grey", "RGB", "16-bit grey", "16-bit RGB"])
def test_encoded_images_are_decoded_as_they_were(pixels: NDArray[Any]) -> None:
    np.testing.assert_array_equal(decoded(images.encode(pixels)).image, pixels)


# Display


def test_display_of_8_bit_is_the_image_itself() -> None:
    np.testing.assert_array_equal(images.load_rgb8(RGB), RGB)
    np.testing.assert_array_equal(images.load_rgb8(GREY), np.dstack([GREY] * 3))


def test_display_of_16_bit_uses_the_whole_range() -> None:
    dim = np.linspace(1000, 1400, 10_000).astype(np.uint16).reshape(100, 100)
    dim[0, 0] = 65535  # one hot pixel must not make the rest black
    shown = images.load_rgb8(dim)
    assert shown.dtype == np.uint8
    assert shown[0, 1, 0] <= 2
    assert shown[-1, -1, 0] >= 253


def test_display_of_nearly_constant_16_bit_shows_the_few_pixels() -> None:
    image = np.full((100, 100), 500, np.uint16)
    image[5, 5] = 600
    assert images.load_rgb8(image)[5, 5].tolist() == [255] * 3
    assert images.load_rgb8(np.full((4, 4), 65535, np.uint16)).min() == 255


@pytest.mark.parametrize("shape", [(300, 200), (200, 300, 3), (1, 5000), (40, 20), (1, 1)])
def test_thumbnails_have_the_asked_side(shape: tuple[int, ...]) -> None:
    for dtype in (np.uint8, np.uint16):
        small = images.thumbnail(np.zeros(shape, dtype), 96)
        assert small.dtype == np.uint8
        assert max(small.shape[:2]) == 96
        assert small.shape[2] == 3


@pytest.mark.realdata
def test_real_images_decode_as_pillow_reads_them(realdata: Path) -> None:
    for path in sorted(realdata.glob("*/images/*"))[::150]:
        image = images.load(path)
        with PILImage.open(path) as plain:
            np.testing.assert_array_equal(image, np.asarray(plain))
