"""Masks: what is written is read back or refused, never guessed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image as PILImage

from labeler import masks
from labeler.errors import MaskError, StorageError

MASK = (np.add.outer(np.arange(20), np.arange(30)) % 3).astype(np.uint8)


def write(path: Path, pixels: NDArray[Any] | PILImage.Image, **options: Any) -> Path:
    image = pixels if isinstance(pixels, PILImage.Image) else PILImage.fromarray(pixels)
    image.save(path, **options)
    return path


@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_every_mask_is_read_back_as_written(mask: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(masks.decode(masks.encode(mask), name="m"), mask)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_mask_raise_mask_errors_only(payload: bytes) -> None:
    with pytest.raises(MaskError, match=r"^m: "):
        masks.decode(payload, name="m")


def test_saved_mask_is_found_by_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "1.png"
    sha256 = masks.save(path, MASK)
    np.testing.assert_array_equal(masks.load(path, sha256=sha256), MASK)
    assert masks.save(tmp_path / "2.png", MASK) == sha256
    assert sorted(file.name for file in tmp_path.iterdir()) == ["1.png", "2.png"]


def test_mask_with_another_hash_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "1.png"
    sha256 = masks.save(path, MASK)
    masks.save(path, MASK * 0)
    with pytest.raises(MaskError, match="hash differs"):
        masks.load(path, sha256=sha256)


def test_missing_cut_and_flipped_masks_are_refused_and_never_empty(tmp_path: Path) -> None:
    path = tmp_path / "1.png"
    with pytest.raises(MaskError, match="is missing"):
        masks.load(path)
    payload = masks.encode(MASK)
    for damaged in (b"", payload[:-1], payload[: len(payload) // 2], payload[:60] + b"\xff" + payload[61:]):
        path.write_bytes(damaged)
        with pytest.raises(MaskError, match=r"1\.png"):
            masks.load(path)


def test_image_files_are_no_masks_of_ours(tmp_path: Path) -> None:
    for number, pixels in enumerate((np.dstack([MASK] * 3), MASK.astype(np.uint16), MASK > 0)):
        path = write(tmp_path / f"{number}.png", pixels)
        with pytest.raises(MaskError, match="no mask file"):
            masks.load(path)


def test_failed_save_keeps_the_previous_mask(tmp_path: Path) -> None:
    path = tmp_path / "1.png"
    path.mkdir()
    (path / "in the way").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        masks.save(path, MASK)
    assert [file.name for file in tmp_path.iterdir()] == ["1.png"]


def test_checked_takes_integers_and_booleans_of_the_right_size() -> None:
    for given_mask in (MASK, MASK.astype(np.int64), MASK.astype(np.uint16)):
        result = masks.checked(given_mask, shape=(20, 30), classes=2, name="m")
        assert result.dtype == np.uint8
        np.testing.assert_array_equal(result, MASK)
    assert masks.checked(MASK > 1, shape=(20, 30), classes=1, name="m").max() == 1


@pytest.mark.parametrize(
    ("mask", "why"),
    [
        (MASK[:, :-1], "29 x 20 pixels, the image 30 x 20"),
        (MASK[..., None], "1 x 30 x 20"),
        (MASK.astype(np.float32), "float32"),
        (MASK + 1, "class 3, known are 0 to 2"),
        (MASK.astype(np.int16) - 1, "class -1"),
        (MASK.astype(np.uint16) + 256, "class 258"),
    ],
)
def test_checked_refuses_wrong_size_type_and_class(mask: NDArray[Any], why: str) -> None:
    with pytest.raises(MaskError, match=why):
        masks.checked(mask, shape=(20, 30), classes=2, name="m")


BINARY = (MASK > 0).astype(np.uint8)


def test_one_class_takes_every_usual_way_to_write_two_values(tmp_path: Path) -> None:
    black_and_white = PILImage.fromarray(BINARY, "P")
    black_and_white.putpalette([0, 0, 0, 255, 255, 255])
    files = [
        write(tmp_path / "01.png", BINARY),
        write(tmp_path / "0255.png", BINARY * 255),
        write(tmp_path / "bool.png", BINARY > 0),
        write(tmp_path / "bool.bmp", BINARY > 0),
        write(tmp_path / "fax.tif", PILImage.fromarray(BINARY > 0), compression="group4"),
        write(tmp_path / "palette.png", black_and_white),
        write(tmp_path / "rgb.png", np.dstack([BINARY * 255] * 3)),
        write(tmp_path / "rgba.png", np.dstack([BINARY * 255] * 3 + [np.full_like(BINARY, 255)])),
        write(tmp_path / "deep.png", BINARY.astype(np.uint16) * 65535),
    ]
    tifffile.imwrite(tmp_path / "bool.tif", BINARY > 0)
    for path in [*files, tmp_path / "bool.tif"]:
        np.testing.assert_array_equal(masks.load_reference(path, classes=1), BINARY, err_msg=path.name)


def test_empty_and_full_masks_of_one_class_are_understood(tmp_path: Path) -> None:
    for value, wanted in ((0, 0), (1, 1), (255, 1)):
        path = write(tmp_path / "m.png", np.full((4, 5), value, np.uint8))
        assert (masks.load_reference(path, classes=1) == wanted).all()


def test_several_classes_are_indices_whatever_the_palette(tmp_path: Path) -> None:
    coloured = PILImage.fromarray(MASK, "P")
    coloured.putpalette([0, 0, 0, 200, 10, 10, 10, 200, 10])
    narrow = io.BytesIO()
    coloured.save(narrow, "PNG", bits=2)
    (tmp_path / "narrow.png").write_bytes(narrow.getvalue())
    tifffile.imwrite(tmp_path / "deep.tif", MASK.astype(np.uint16))
    write(tmp_path / "grey.png", MASK)
    write(tmp_path / "palette.png", coloured)
    write(tmp_path / "palette.bmp", coloured)
    write(tmp_path / "palette.tif", coloured, compression="tiff_lzw")
    for path in sorted(tmp_path.iterdir()):
        np.testing.assert_array_equal(masks.load_reference(path, classes=2), MASK, err_msg=path.name)


def test_reference_that_would_have_to_be_guessed_is_refused(tmp_path: Path) -> None:
    grey_levels = write(tmp_path / "levels.png", np.arange(200, dtype=np.uint8).reshape(10, 20))
    with pytest.raises(MaskError, match="besides 0 and 255"):
        masks.load_reference(grey_levels, classes=1)
    with pytest.raises(MaskError, match="class 199"):
        masks.load_reference(grey_levels, classes=2)
    half = write(tmp_path / "half.png", BINARY * 128)
    with pytest.raises(MaskError, match="besides"):
        masks.load_reference(half, classes=1)
    coloured = write(tmp_path / "colour.png", np.dstack([BINARY, BINARY, BINARY * 0]))
    with pytest.raises(MaskError, match="coloured"):
        masks.load_reference(coloured, classes=1)
    with pytest.raises(MaskError, match="is missing"):
        masks.load_reference(tmp_path / "none.png", classes=1)


def touch(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return [folder / name for name in names]


def test_pairs_have_the_same_stem_or_end_in_mask(tmp_path: Path) -> None:
    pictures = touch(tmp_path / "images", "a.jpg", "b.png", "c.tif", "d.png")
    answers = touch(tmp_path / "masks", "a.png", "b_mask.PNG", "c.bmp", "notes.txt", "other.png")
    assert masks.find_pairs(pictures, tmp_path / "masks") == dict(zip(pictures, answers[:3], strict=False))


def test_pairs_in_subfolders_go_by_the_agreeing_folders(tmp_path: Path) -> None:
    pictures = touch(tmp_path / "images", "bear/0.jpg", "dog/0.jpg", "0.jpg")
    touch(tmp_path / "masks", "bear/0.png", "dog/0.png")
    found = masks.find_pairs(pictures, tmp_path / "masks")
    assert found == {
        pictures[0]: tmp_path / "masks/bear/0.png",
        pictures[1]: tmp_path / "masks/dog/0.png",
    }


def test_images_of_one_stem_get_separate_masks_or_none(tmp_path: Path) -> None:
    pictures = touch(tmp_path / "images", "a.png", "a.jpg")
    answers = touch(tmp_path / "masks", "a.png")
    assert masks.find_pairs(pictures, tmp_path / "masks") == {pictures[0]: answers[0]}
    named = touch(tmp_path / "masks", "a.jpg.png")
    assert masks.find_pairs(pictures, tmp_path / "masks") == {pictures[0]: answers[0], pictures[1]: named[0]}


def test_an_image_is_never_its_own_mask(tmp_path: Path) -> None:
    pictures = touch(tmp_path, "a.png", "b.jpg")
    answers = touch(tmp_path, "a_mask.png", "b.png")
    assert masks.find_pairs(pictures, tmp_path) == dict(zip(pictures, answers, strict=True))


@pytest.mark.realdata
def test_real_reference_masks_pair_and_load(realdata: Path) -> None:
    for folder in sorted(realdata.glob("*/masks")):
        pictures = sorted((folder.parent / "images").iterdir())
        found = masks.find_pairs(pictures, folder)
        assert len(found) == len(pictures), folder
        for image in pictures[::100]:
            mask = masks.load_reference(found[image], classes=1)
            assert set(np.unique(mask)) <= {0, 1}
