"""Exports: everything comes back pixel by pixel, or nothing appears."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as rle
from pycocotools.coco import COCO

from labeler import files, masks
from labeler.driving import drain
from labeler.errors import ExportError, MaskError
from labeler.files import sha256_of, sha256_of_file
from labeler.formats import FORMATS, Manifest, coco, export, png
from labeler.formats.names import csv_cell, escape, mask_names, unescape
from labeler.project import Project
from labeler.records import LabelOrigin, Mask, PredictionRecord, Split, StreamItem, VersionStatus
from labeler.settings import Settings

T = TypeVar("T")
HEIGHT, WIDTH = 23, 31
ODD_NAMES = (
    "plain.png",
    "plain.jpg",
    "Plain.PNG",
    "ünïcode-日本.png",
    "a\nnewline.png",
    "100%.png",
    "a%20b.png",
    '"quoted", comma.png',
    "=1+1.png",
    "-dash.png",
    "@at.png",
    os.fsdecode(b"not-utf8-\xff\xfe.png"),
    "x" * 250 + ".png",
    "x" * 249 + "y.png",
)


def blob(seed: int, classes: int = 2) -> Mask:
    """Regions with holes and several parts, class indices 0..classes."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, classes + 1, (HEIGHT, WIDTH)).astype(np.uint8)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    return folder


@pytest.fixture
def project(tmp_path: Path, images: Path) -> Iterator[Project]:
    settings = Settings(classes=("cell", "=cmd()"))
    with Project.create(tmp_path / "project", settings=settings, sources=[str(images)]) as opened:
        path = opened.models_folder / "0001.safetensors"
        path.write_bytes(b"weights")
        opened.add_version(
            path,
            sha256=sha256_of(b"weights"),
            parent=None,
            status=VersionStatus.CHAMPION,
            core_count=3,
            holdout_count=0,
            holdout_iou=None,
            core_iou=None,
            metrics={},
        )
        yield opened


def add(project: Project, folder: Path, name: str) -> int:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(os.fsencode(name))
    return project.add([StreamItem(path, sha256_of(path.read_bytes()), WIDTH, HEIGHT)])[0]


def label(project: Project, image_id: int, mask: Mask, split: Split = Split.CORE) -> None:
    project.commit_label(image_id, mask, origin=LabelOrigin.CORRECTED, split=split)


def accept(project: Project, image_id: int, mask: Mask) -> None:
    mask_path, probability_path = files.prediction_paths(project.predictions_folder, image_id, 1)
    mask_path.parent.mkdir(exist_ok=True)
    digest = masks.save(mask_path, mask, durable=False)
    masks.save(probability_path, (mask > 0).astype(np.uint8) * 255, durable=False)
    project.record_predictions([PredictionRecord(image_id, 1, 0.95, 0.95, 0.9, 0.3, digest)], threshold=0.8)


@pytest.fixture
def filled(project: Project, images: Path) -> dict[str, Mask]:
    """Two core labels, one in the holdout, one accepted mask, one empty, one image that waits."""
    contents = {f"{name}.png": blob(seed) for seed, name in enumerate(("core-a", "core-b", "held", "sure"))}
    contents["empty.png"] = np.zeros((HEIGHT, WIDTH), np.uint8)
    for name, mask in contents.items():
        image_id = add(project, images, name)
        if name == "sure.png":
            accept(project, image_id, mask)
        else:
            label(project, image_id, mask, Split.HOLDOUT if name == "held.png" else Split.CORE)
    add(project, images, "waits.png")
    return contents


def read(manifest: Manifest) -> dict[str, Mask]:
    return dict(FORMATS[manifest.format].read(manifest.folder))


@pytest.mark.parametrize("format", FORMATS)
def test_every_final_mask_is_exported_pixel_by_pixel(
    project: Project, filled: dict[str, Mask], tmp_path: Path, format: str
) -> None:
    found = read(drain(export(project, tmp_path / "out", format=format)))
    assert found.keys() == filled.keys()
    assert all(np.array_equal(found[name], mask) for name, mask in filled.items())


@pytest.mark.parametrize("format", FORMATS)
def test_core_only_leaves_out_holdout_and_accepted(
    project: Project, filled: dict[str, Mask], tmp_path: Path, format: str
) -> None:
    manifest = drain(export(project, tmp_path / "out", format=format, include_accepted=False))
    assert read(manifest).keys() == {"core-a.png", "core-b.png", "empty.png"}


def test_manifest_tells_origin_hashes_and_models(
    project: Project, filled: dict[str, Mask], images: Path, tmp_path: Path
) -> None:
    manifest = drain(export(project, tmp_path / "out", format="png"))
    content = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert content["origins"] == {"corrected": 4, "accepted by the gate": 1}
    assert content["image_root"] == str(images)
    assert content["classes"] == {"1": "cell", "2": "=cmd()"}
    assert [model["version"] for model in content["models"]] == [1]
    origins = {item["name"]: (item["origin"], item["split"], item["model_version"]) for item in content["items"]}
    assert origins["sure.png"] == ("accepted by the gate", "", 1)
    assert origins["held.png"] == ("corrected", "holdout", None)
    for name, digest in content["files"].items():
        assert sha256_of_file(manifest.folder / name) == digest
    assert len(content["files"]) == 6


@pytest.mark.parametrize("format", FORMATS)
def test_odd_names_come_back(project: Project, images: Path, tmp_path: Path, format: str) -> None:
    drawn = {}
    for seed, name in enumerate(ODD_NAMES):
        drawn[name] = blob(seed)
        label(project, add(project, images, name), drawn[name])
    found = read(drain(export(project, tmp_path / "out", format=format)))
    assert found.keys() == drawn.keys()
    assert all(np.array_equal(found[name], mask) for name, mask in drawn.items())


def test_same_names_in_two_folders_stay_apart(project: Project, images: Path, tmp_path: Path) -> None:
    for seed, name in enumerate(("a/same.png", "b/same.png")):
        label(project, add(project, images, name), blob(seed))
    manifest = drain(export(project, tmp_path / "out", format="png"))
    found = read(manifest)
    assert np.array_equal(found["a/same.png"], blob(0))
    assert np.array_equal(found["b/same.png"], blob(1))
    assert len(list((manifest.folder / "masks").iterdir())) == 2


def test_index_holds_no_spreadsheet_formula(project: Project, images: Path, tmp_path: Path) -> None:
    for name in ODD_NAMES:
        label(project, add(project, images, name), blob(1))
    folder = drain(export(project, tmp_path / "out", format="png")).folder
    with (folder / png.INDEX_NAME).open(encoding="utf-8", newline="") as stream:
        cells = [cell for row in csv.reader(stream) for cell in row]
    assert not [cell for cell in cells if cell[:1] in {"=", "+", "-", "@", "\t", "\r"}]
    assert len((folder / png.INDEX_NAME).read_text("utf-8").splitlines()) == len(ODD_NAMES) + 1


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools, in decode
def test_other_coco_readers_see_the_same_masks(project: Project, filled: dict[str, Mask], tmp_path: Path) -> None:
    folder = drain(export(project, tmp_path / "out", format="coco")).folder
    reader = COCO(folder / coco.ANNOTATIONS_NAME)
    assert [category["name"] for category in reader.loadCats(reader.getCatIds())] == ["cell", "=cmd()"]
    for image in reader.loadImgs(reader.getImgIds()):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        for annotation in reader.loadAnns(reader.getAnnIds(image["id"])):
            assert annotation["iscrowd"] == 0
            pixels = reader.annToMask(annotation)
            assert annotation["area"] == pixels.sum()
            mask += pixels * annotation["category_id"]
        assert np.array_equal(mask, filled[image["file_name"]])


@given(st.integers(0, 2**32), st.integers(1, 90), st.integers(1, 90), st.floats(0, 1))
def test_own_decoder_agrees_with_pycocotools(seed: int, height: int, width: int, share: float) -> None:
    pixels = np.random.default_rng(seed).random((height, width)) < share
    encoded = rle.encode(np.asfortranarray(pixels, dtype=np.uint8))
    assert np.array_equal(coco.decode(encoded["counts"].decode(), (height, width)), pixels)


def test_long_runs_are_decoded() -> None:
    pixels = np.zeros((3000, 2000), bool)
    pixels[1500:, 1000:] = True
    assert np.array_equal(coco.decode(coco.region(pixels)["segmentation"]["counts"], pixels.shape), pixels)


@pytest.mark.parametrize("counts", ["", "5", "~~", "PPPPPPPPPPPPPPPPPPPP0", "o0", "é", "1002", "P"])
def test_runs_that_do_not_fill_the_image_are_refused(counts: str) -> None:
    with pytest.raises(MaskError):
        coco.decode(counts, (10, 10))


def test_existing_folder_with_content_is_refused(project: Project, filled: dict[str, Mask], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "precious.txt").write_text("mine")
    with pytest.raises(ExportError, match="not an empty folder"):
        drain(export(project, out, format="png"))
    assert [path.name for path in out.iterdir()] == ["precious.txt"]


def test_empty_folder_is_used(project: Project, filled: dict[str, Mask], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert drain(export(project, tmp_path / "out", format="png")).images == len(filled)


@pytest.mark.parametrize("below", [".", "sub/out"])
def test_image_folder_is_never_written(project: Project, filled: dict[str, Mask], images: Path, below: str) -> None:
    before = sorted(images.rglob("*"))
    with pytest.raises(ExportError, match=r"image folder|not an empty"):
        drain(export(project, images / below, format="coco"))
    assert sorted(images.rglob("*")) == before


def test_nothing_to_export_is_said(project: Project, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no mask to export"):
        drain(export(project, tmp_path / "out", format="png"))
    with pytest.raises(ExportError, match="no label to export"):
        drain(export(project, tmp_path / "out", format="png", include_accepted=False))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("steps", [1, 3, 7])
def test_stopped_export_leaves_nothing(
    project: Project, filled: dict[str, Mask], tmp_path: Path, format: str, steps: int
) -> None:
    work = export(project, tmp_path / "exports" / "out", format=format)
    for _ in range(steps):
        next(work)
    work.close()
    assert list((tmp_path / "exports").iterdir()) == []


def test_leftovers_of_a_killed_export_are_removed(project: Project, filled: dict[str, Mask], tmp_path: Path) -> None:
    left = tmp_path / "out.0123abcd.staged"
    left.mkdir()
    (left / "half.png").write_bytes(b"half")
    drain(export(project, tmp_path / "out", format="png"))
    assert not left.exists()


def test_damaged_write_is_noticed_and_nothing_appears(
    project: Project, filled: dict[str, Mask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lying_region(pixels: Any) -> dict[str, Any]:
        flipped = pixels.copy()
        flipped[0, 0] ^= True
        return honest(flipped)

    honest = coco.region
    monkeypatch.setattr(coco, "region", lying_region)
    with pytest.raises(ExportError, match="does not read back"):
        drain(export(project, tmp_path / "out", format="coco"))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("out")]


def test_lost_accepted_mask_is_left_out_and_named(project: Project, filled: dict[str, Mask], tmp_path: Path) -> None:
    for path in project.predictions_folder.rglob("*.mask.png"):
        path.unlink()
    manifest = drain(export(project, tmp_path / "out", format="png"))
    assert [name for name, _ in manifest.left_out] == ["sure.png"]
    assert "sure.png" not in read(manifest)
    assert manifest.document["left_out"][0]["name"] == "sure.png"


@given(st.binary(max_size=40).filter(lambda raw: b"\0" not in raw and b"/" not in raw))
def test_any_name_survives_as_clean_text(raw: bytes) -> None:
    name = raw.decode("utf-8", "surrogateescape")
    text = escape(name)
    assert text.encode("utf-8").decode("utf-8") == text
    assert text.isprintable() or not any(character in "\n\r\t\x00\x1b" for character in text)
    assert unescape(text) == name
    assert unescape(csv_cell(text)) == name


@given(st.lists(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=12), max_size=30))
def test_mask_names_are_never_shared(names: list[str]) -> None:
    stems = mask_names(enumerate(map(escape, names)))
    assert len({stem.casefold() for stem in stems.values()}) == len(names)
    assert all(len(stem.encode()) < 240 for stem in stems.values())
