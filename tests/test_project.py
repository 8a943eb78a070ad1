"""The project's folder, as the rooms above it use it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from labeler import files, masks, provenance
from labeler.errors import ImageError, MaskError, ProjectError, ProjectLocked, SettingsError, StorageError
from labeler.files import sha256_of
from labeler.project import Project
from labeler.records import (
    ImageState,
    LabelOrigin,
    Mask,
    PredictionRecord,
    Split,
    StreamItem,
    UnreadableItem,
    VersionStatus,
)
from labeler.settings import Settings

HEIGHT, WIDTH = 12, 17


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.create(tmp_path / "project") as opened:
        yield opened


def item(path: Path, content: str = "") -> StreamItem:
    """An image file of made-up bytes: the project looks at nothing but the hash."""
    path.write_bytes((content or path.name).encode("utf-8", "surrogateescape"))
    return StreamItem(path, sha256_of(path.read_bytes()), WIDTH, HEIGHT)


def blob(value: int = 1, *, rows: int = 4) -> Mask:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[2 : 2 + rows, 3:9] = value
    return mask


def predict(
    project: Project, image_id: int, confidence: float, *, version: int = 1, mask: Mask | None = None
) -> PredictionRecord:
    """Write a prediction as the inference job does."""
    mask = blob() if mask is None else mask
    mask_path, probability_path = files.prediction_paths(project.predictions_folder, image_id, version)
    mask_path.parent.mkdir(exist_ok=True)
    digest = masks.save(mask_path, mask, durable=False)
    masks.save(probability_path, (mask * 200).astype(np.uint8), durable=False)
    return PredictionRecord(image_id, version, confidence, confidence, 0.5, 0.1, digest)


def commit(project: Project, image_id: int, mask: Mask | None = None, split: Split = Split.CORE) -> None:
    project.commit_label(image_id, blob() if mask is None else mask, origin=LabelOrigin.CORRECTED, split=split)


def publish(project: Project, *, status: VersionStatus = VersionStatus.CHAMPION) -> int:
    version = project.next_version()
    path = project.models_folder / f"{version:04d}.safetensors"
    path.write_bytes(b"weights")
    project.add_version(
        path,
        sha256=sha256_of(b"weights"),
        parent=None,
        status=status,
        core_count=3,
        holdout_count=1,
        holdout_iou=0.9,
        core_iou=None,
        metrics={"loss": 0.1},
    )
    return version


# Folder


def test_new_project_opens_again_with_settings_and_sources(tmp_path: Path) -> None:
    settings = Settings(classes=("cell", "débris"), threshold=0.7)
    Project.create(tmp_path / "p", settings=settings, sources=["/data/images"]).close()
    with Project.open(tmp_path / "p") as project:
        assert project.settings == settings
        assert project.sources == ("/data/images",)
        assert project.counts().streamed == 0


def test_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(ProjectError, match="not empty"):
        Project.create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_folder_with_a_project_is_refused(tmp_path: Path, project: Project) -> None:
    with pytest.raises(ProjectError, match="holds a project already"):
        Project.create(project.folder)


def test_folder_that_a_killed_create_left_is_used(tmp_path: Path) -> None:
    Project.create(tmp_path / "p").close()
    (tmp_path / "p" / "project.toml").unlink()
    with Project.create(tmp_path / "p") as project:
        assert project.counts().streamed == 0


def test_folder_without_project_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="is no project"):
        Project.open(tmp_path / "nowhere")


def test_project_that_is_open_is_refused_and_names_the_holder(project: Project) -> None:
    with pytest.raises(ProjectLocked, match=f"process {os.getpid()} on"):
        Project.open(project.folder)


def test_closed_project_opens_at_once(project: Project) -> None:
    project.close()
    project.close()
    Project.open(project.folder).close()


def test_sources_are_remembered_once(project: Project) -> None:
    project.add_source("camera:0")
    project.add_source("camera:0")
    project.close()
    with Project.open(project.folder) as again:
        assert again.sources == ("camera:0",)


def test_class_in_use_keeps_its_number(project: Project, images: Path) -> None:
    project.save_settings(Settings(classes=("cell", "dirt", "hair")))
    (image_id,) = project.add([item(images / "a.png")])
    commit(project, image_id, blob(2))
    for classes in (("cell",), ("dirt", "cell"), ("dirt", "hair")):
        with pytest.raises(SettingsError, match="used by labels"):
            project.save_settings(Settings(classes=classes))
    project.save_settings(Settings(classes=("nucleus", "dirt")))
    assert project.settings.classes == ("nucleus", "dirt")


def test_class_that_a_model_knows_stays_and_others_may_come(project: Project) -> None:
    project.save_settings(Settings(classes=("cell", "dirt")))
    publish(project)
    for classes in (("cell",), ("dirt", "cell")):
        with pytest.raises(SettingsError, match="known to the model"):
            project.save_settings(Settings(classes=classes))
    project.save_settings(Settings(classes=("nucleus", "dirt", "hair")))
    assert project.settings.classes == ("nucleus", "dirt", "hair")


# Images


def test_new_images_wait_in_the_pool(project: Project, images: Path) -> None:
    ids = project.add([item(images / "a.png"), item(images / "b.png")])
    assert [record.path.name for record in project.images()] == ["a.png", "b.png"]
    assert [record.image_id for record in project.images(state=ImageState.POOL)] == ids
    assert project.counts().pool == project.counts().streamed == 2
    assert project.image(ids[0]).width == WIDTH
    assert project.image(ids[0]).confidence is None


def test_same_bytes_elsewhere_are_a_duplicate(project: Project, images: Path) -> None:
    (image_id,) = project.add([item(images / "a.png", "same")])
    assert project.add([item(images / "copy.png", "same")]) == []
    assert project.image(image_id).path == images / "a.png"
    (event,) = project.events(kind="duplicate")
    assert event.payload["path"] == str(images / "copy.png")


def test_moved_image_is_found_again(project: Project, images: Path) -> None:
    (image_id,) = project.add([item(images / "a.png")])
    commit(project, image_id)
    (images / "a.png").rename(images / "renamed.png")
    with pytest.raises(ImageError, match=r"a\.png: is missing"):
        project.resolve(image_id)
    moved = StreamItem(images / "renamed.png", project.image(image_id).sha256, WIDTH, HEIGHT)
    assert project.add([moved]) == []
    assert project.resolve(image_id) == images / "renamed.png"
    assert len(project.events(kind="moved")) == 1
    assert project.image(image_id).state is ImageState.LABELLED


def test_files_that_change_names_in_a_ring_keep_their_labels(project: Project, images: Path) -> None:
    one, other = item(images / "a.png", "one"), item(images / "b.png", "other")
    first, second = project.add([one, other])
    commit(project, first, blob(rows=2))
    commit(project, second, blob(rows=5))
    swapped = [item(images / "a.png", "other"), item(images / "b.png", "one")]
    assert project.add(swapped) == []
    assert [project.image(first).path.name, project.image(second).path.name] == ["b.png", "a.png"]
    assert project.label_mask(first).sum() < project.label_mask(second).sum()


def test_overwritten_file_is_a_new_image_and_the_old_label_stays(project: Project, images: Path) -> None:
    first, second = project.add([item(images / "a.png", "old"), item(images / "b.png", "old too")])
    commit(project, first)
    third, fourth = project.add([item(images / "a.png", "new"), item(images / "b.png", "new too")])
    assert project.image(first).state is ImageState.LABELLED
    assert project.image(second).state is ImageState.UNREADABLE
    assert "overwritten" in project.image(second).reason
    assert project.image(third).state is project.image(fourth).state is ImageState.POOL


def test_overwritten_duplicate_leaves_the_image_alone(project: Project, images: Path) -> None:
    (image_id,) = project.add([item(images / "a.png", "same")])
    project.add([item(images / "copy.png", "same")])
    project.add([item(images / "copy.png", "another")])
    assert project.image(image_id).state is ImageState.POOL
    item(images / "a.png", "a third")
    project.add([UnreadableItem(images / "a.png", "is cut off")])
    assert project.image(image_id).reason == "is cut off"


def test_unreadable_file_is_kept_apart_with_its_reason(project: Project, images: Path) -> None:
    (images / "bad.png").write_bytes(b"\0")
    (image_id,) = project.add([UnreadableItem(images / "bad.png", "is cut off")])
    assert project.add([UnreadableItem(images / "bad.png", "is still cut off")]) == []
    record = project.image(image_id)
    assert (record.state, record.reason, record.sha256) == (ImageState.UNREADABLE, "is still cut off", "")
    with pytest.raises(ProjectError, match="cannot be read"):
        project.set_state(image_id, ImageState.POOL)
    with pytest.raises(ImageError, match="cannot be labelled"):
        commit(project, image_id)


def test_unreadable_file_that_was_mended_is_a_new_image(project: Project, images: Path) -> None:
    project.add([UnreadableItem(images / "a.png", "is growing")])
    (image_id,) = project.add([item(images / "a.png")])
    assert project.image(image_id).state is ImageState.POOL
    assert project.counts().unreadable == 0


def test_unreadable_file_that_turns_into_a_copy_is_forgotten(project: Project, images: Path) -> None:
    project.add([item(images / "a.png", "same"), UnreadableItem(images / "b.png", "is growing")])
    assert project.add([item(images / "b.png", "same")]) == []
    assert project.counts().streamed == 1


def test_seen_files_are_known_after_a_restart(project: Project, images: Path) -> None:
    project.add([item(images / "a.png", "same"), item(images / "copy.png", "same")])
    project.add([UnreadableItem(images / "gone.png", "vanished")])
    project.close()
    with Project.open(project.folder) as again:
        known = again.known_paths()
    assert known[images / "a.png"] == (4, (images / "a.png").stat().st_mtime)
    assert known[images / "copy.png"][0] == 4
    assert known[images / "gone.png"][0] == -1


@pytest.mark.skipif(os.name == "nt" or os.uname().sysname == "Darwin", reason="file names there are Unicode")
@pytest.mark.parametrize(
    "name", [b"\xff\xfe.png", b"new\nline.png", b"-q'u\"%s.png", "e\u0301.png".encode(), b"x" * 255]
)
def test_odd_names_survive(project: Project, images: Path, name: bytes) -> None:
    path = images / os.fsdecode(name)
    (image_id,) = project.add([item(path)])
    project.log("note", path=str(path))
    project.close()
    with Project.open(project.folder) as again:
        assert again.resolve(image_id) == path
        assert list(again.known_paths()) == [path]
        assert again.events(kind="note")[0].payload["path"] == str(path)
        commit(again, image_id)
        assert again.relink(images, shutil.copytree(images, images.parent / "elsewhere")) == 1
        assert again.resolve(image_id) == images.parent / "elsewhere" / os.fsdecode(name)


def test_moved_source_folder_is_relinked_with_its_source(project: Project, images: Path) -> None:
    (images / "deep").mkdir()
    ids = project.add([item(images / "a.png"), item(images / "deep" / "b.png")])
    project.add_source(str(images))
    moved = images.rename(images.parent / "moved")
    assert project.relink(images, moved) == 2
    assert [project.resolve(image_id) for image_id in ids] == [moved / "a.png", moved / "deep" / "b.png"]
    assert project.sources == (str(moved),)
    assert project.relink(images, moved) == 0


def test_relink_to_a_folder_that_is_known_already(project: Project, images: Path) -> None:
    other = images.parent / "other"
    other.mkdir()
    first, second = project.add([item(images / "a.png", "same"), item(images / "b.png")])
    project.add([item(other / "a.png", "same")])
    shutil.rmtree(images)
    item(other / "b.png")
    project.relink(images, other)
    assert project.resolve(first) == other / "a.png"
    assert project.resolve(second) == other / "b.png"


def test_project_and_frames_in_it_can_be_moved(project: Project, tmp_path: Path) -> None:
    (image_id,) = project.add([item(project.frames_folder / "0001.png")])
    project.close()
    project.folder.rename(tmp_path / "moved")
    with Project.open(tmp_path / "moved") as moved:
        assert moved.resolve(image_id) == tmp_path / "moved" / "frames" / "0001.png"


def test_project_that_moved_together_with_its_images_finds_them(tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    (stick / "images").mkdir(parents=True)
    with Project.create(stick / "project", sources=[str(stick / "images")]) as project:
        (image_id,) = project.add([item(stick / "images" / "a.png")])
    stick.rename(tmp_path / "disk")
    with Project.open(tmp_path / "disk" / "project") as moved:
        assert moved.resolve(image_id) == tmp_path / "disk" / "images" / "a.png"
        assert moved.sources == (str(tmp_path / "disk" / "images"),)


def test_image_that_went_missing_and_came_back_is_predicted_again(project: Project, images: Path) -> None:
    (image_id,) = project.add([item(images / "a.png")])
    project.set_state(image_id, ImageState.UNREADABLE, reason="is missing")
    assert project.known_paths() == {}
    assert project.add([item(images / "a.png")]) == []
    assert project.image(image_id).state is ImageState.POOL


def test_skips_are_counted(project: Project, images: Path) -> None:
    (image_id,) = project.add([item(images / "a.png")])
    project.skip(image_id)
    project.skip(image_id)
    assert project.image(image_id).skips == 2


def test_unknown_image_is_named(project: Project) -> None:
    with pytest.raises(ProjectError, match="no image 77"):
        project.image(77)


# Predictions and gate


def test_gate_divides_by_confidence(project: Project, images: Path) -> None:
    low, high, labelled = project.add([item(images / name) for name in ("a", "b", "c")])
    commit(project, labelled)
    project.record_predictions(
        [predict(project, low, 0.3), predict(project, high, 0.8), predict(project, labelled, 0.9)], threshold=0.8
    )
    states = [project.image(image_id).state for image_id in (low, high, labelled)]
    assert states == [ImageState.QUEUED, ImageState.ACCEPTED, ImageState.LABELLED]
    assert project.image(low).confidence == 0.3
    assert project.image(low).model_version == 1


def test_confidence_that_is_no_number_goes_to_a_person(project: Project, images: Path) -> None:
    (image_id,) = project.add([item(images / "a")])
    project.record_predictions([predict(project, image_id, float("nan"))], threshold=0.0)
    assert project.image(image_id).state is ImageState.QUEUED
    assert project.prediction(image_id) is not None


def test_prediction_reads_back_as_written(project: Project, images: Path) -> None:
    (image_id,) = project.add([item(images / "a")])
    record = predict(project, image_id, 0.5)
    assert project.prediction(image_id) is None
    project.record_predictions([record], threshold=0.8)
    found = project.prediction(image_id)
    assert found is not None
    np.testing.assert_array_equal(found[0], blob())
    np.testing.assert_array_equal(found[1], blob() * 200)
    assert found[2] == record


def test_threshold_moves_images_both_ways_and_is_kept(project: Project, images: Path) -> None:
    ids = project.add([item(images / name) for name in "abcd"])
    commit(project, ids[3])
    project.record_predictions([predict(project, i, 0.2 * n) for n, i in enumerate(ids, start=1)], threshold=0.5)
    assert project.regate(0.3) == (1, 0)
    assert project.regate(0.7) == (0, 2)
    assert project.image(ids[3]).state is ImageState.LABELLED
    assert project.settings.threshold == 0.7
    assert project.counts().queued == 3
    project.close()
    with Project.open(project.folder) as again:
        assert again.settings.threshold == 0.7


def test_threshold_edited_by_hand_is_followed(project: Project, images: Path) -> None:
    (image_id,) = project.add([item(images / "a")])
    project.record_predictions([predict(project, image_id, 0.5)], threshold=0.8)
    project.close()
    path = project.folder / "project.toml"
    path.write_text(path.read_text().replace("[settings]", "[settings]\nthreshold = 0.4"))
    with Project.open(project.folder) as again:
        assert again.image(image_id).state is ImageState.ACCEPTED


def test_publish_makes_all_undecided_images_wait_for_the_champion(project: Project, images: Path) -> None:
    ids = project.add([item(images / name) for name in "abcde"])
    publish(project)
    confidences = dict(zip(ids, (0.6, 0.2, 0.9, 0.3), strict=False))
    project.record_predictions([predict(project, i, c) for i, c in confidences.items()], threshold=0.8)
    assert [record.image_id for record in project.to_predict(1, limit=10)] == [ids[4]]
    publish(project)
    assert project.count_to_predict() == 5
    order = [ids[1], ids[3], ids[0], ids[4], ids[2]]
    assert [record.image_id for record in project.to_predict(2, limit=10)] == order
    assert len(project.to_predict(2, limit=2)) == 2
    assert project.image(ids[1]).state is ImageState.QUEUED
    project.record_predictions([predict(project, ids[1], 0.95, version=2)], threshold=0.8)
    assert project.image(ids[1]).state is ImageState.ACCEPTED
    before = project.prediction_before(ids[1])
    assert before is not None
    assert before[1] == 1
    assert project.moved_by_round() == {ids[1]: "queued"}
    publish(project)
    project.record_predictions([predict(project, ids[1], 0.96, version=3)], threshold=0.8)
    assert not files.prediction_paths(project.predictions_folder, ids[1], 1)[0].exists()
    assert files.prediction_paths(project.predictions_folder, ids[1], 2)[0].exists()
    assert project.moved_by_round() == {}


def test_prediction_that_a_label_was_compared_with_is_kept(project: Project, images: Path) -> None:
    ids = project.add([item(images / name) for name in "ab"])
    publish(project)
    project.record_predictions([predict(project, image_id, 0.5) for image_id in ids], threshold=0.8)
    commit(project, ids[0])
    assert project.labels()[0].model_version == 1
    for version in (2, 3):
        publish(project)
        again = [predict(project, image_id, 0.5, version=version) for image_id in ids]
        project.record_predictions(again, threshold=0.8)
    kept = [files.prediction_paths(project.predictions_folder, image_id, 1)[0].exists() for image_id in ids]
    assert kept == [True, False], "the report shows what the person had before them"


def test_late_prediction_of_a_retired_version_is_dropped(project: Project, images: Path) -> None:
    (image_id,) = project.add([item(images / "a")])
    publish(project)
    publish(project)
    project.record_predictions([predict(project, image_id, 0.9, version=2)], threshold=0.8)
    project.record_predictions([predict(project, image_id, 0.1, version=1)], threshold=0.8)
    assert project.image(image_id).confidence == 0.9
    assert project.prediction(image_id) is not None


@pytest.mark.parametrize("damage", ["deleted", "cut", "flipped", "other size"])
def test_lost_prediction_is_made_again(project: Project, images: Path, damage: str) -> None:
    (image_id,) = project.add([item(images / "a")])
    publish(project)
    project.record_predictions([predict(project, image_id, 0.9)], threshold=0.8)
    mask_path, probability_path = files.prediction_paths(project.predictions_folder, image_id, 1)
    if damage == "deleted":
        shutil.rmtree(mask_path.parent)
    elif damage == "cut":
        probability_path.write_bytes(probability_path.read_bytes()[:-20])
    elif damage == "flipped":
        mask_path.write_bytes(masks.encode(blob(rows=1)))
    else:
        masks.save(probability_path, np.zeros((3, 3), np.uint8))
    assert project.prediction(image_id) is None
    assert project.image(image_id).state is ImageState.POOL
    assert [record.image_id for record in project.to_predict(1, limit=5)] == [image_id]


def test_excluded_image_that_comes_back_is_predicted_again(project: Project, images: Path) -> None:
    (image_id,) = project.add([item(images / "a")])
    publish(project)
    project.record_predictions([predict(project, image_id, 0.9)], threshold=0.8)
    project.set_state(image_id, ImageState.EXCLUDED, reason="blurred")
    assert project.image(image_id).reason == "blurred"
    assert project.regate(0.1) == (0, 0)
    project.set_state(image_id, ImageState.POOL)
    assert [record.image_id for record in project.to_predict(1, limit=5)] == [image_id]


def test_least_confident_images_can_be_listed_first(project: Project, images: Path) -> None:
    ids = project.add([item(images / name) for name in "abc"])
    project.record_predictions(
        [predict(project, i, c) for i, c in zip(ids, (0.5, 0.1, 0.3), strict=True)], threshold=0.8
    )
    least = project.catalogue.candidates.lowest("confidence", [ImageState.QUEUED], 2)
    assert least == [ids[1], ids[2]]
    assert [record.image_id for record in project.images(after=ids[0])] == ids[1:]


# Labels


def test_label_reads_back_pixel_for_pixel(project: Project, images: Path) -> None:
    (image_id,) = project.add([item(images / "a")])
    record = project.commit_label(image_id, blob(), origin=LabelOrigin.CORRECTED, split=Split.CORE, seconds=3.5)
    assert (record.revision, record.seconds, record.confidence, record.iou) == (1, 3.5, None, None)
    assert sha256_of(record.mask_path.read_bytes()) == record.mask_sha256
    np.testing.assert_array_equal(project.label_mask(image_id), blob())
    assert project.labels() == [record]
    assert project.image(image_id).state is ImageState.LABELLED
    assert project.image(image_id).origin is LabelOrigin.CORRECTED


def test_label_keeps_what_the_prediction_was_worth(project: Project, images: Path) -> None:
    (image_id,) = project.add([item(images / "a")])
    project.record_predictions([predict(project, image_id, 0.6, mask=blob(rows=4))], threshold=0.8)
    record = project.commit_label(image_id, blob(rows=8), origin=LabelOrigin.CORRECTED, split=Split.CORE)
    assert (record.confidence, record.iou, record.model_version) == (0.6, 0.5, 1)


def test_relabel_is_a_new_revision_in_the_same_split(project: Project, images: Path) -> None:
    (image_id,) = project.add([item(images / "a")])
    commit(project, image_id, blob(rows=2), Split.HOLDOUT)
    commit(project, image_id, blob(rows=3), Split.CORE)
    (label,) = project.labels()
    assert (label.revision, label.split) == (2, Split.HOLDOUT)
    assert project.image(image_id).split is Split.HOLDOUT
    assert project.counts().holdout == 1
    assert project.labels(split=Split.CORE) == []


def test_excluded_image_is_no_part_of_core_or_holdout(project: Project, images: Path) -> None:
    (image_id,) = project.add([item(images / "a")])
    commit(project, image_id)
    project.set_state(image_id, ImageState.EXCLUDED)
    assert project.labels() == []
    assert project.counts().core == 0
    project.set_state(image_id, ImageState.LABELLED)
    assert project.counts().core == 1


def test_image_without_label_cannot_become_labelled(project: Project, images: Path) -> None:
    (image_id,) = project.add([item(images / "a")])
    with pytest.raises(ValueError, match="no label"):
        project.set_state(image_id, ImageState.LABELLED)
    with pytest.raises(MaskError, match="never labelled"):
        project.label_mask(image_id)


def test_mask_file_tells_of_which_image_it_is(project: Project, images: Path) -> None:
    (image_id,) = project.add([item(images / "a")])
    commit(project, image_id)
    facts = provenance.facts_of(project.labels()[0].mask_path.read_bytes())
    assert facts is not None
    assert facts["image_sha256"] == project.image(image_id).sha256
    assert (facts["split"], facts["revision"], facts["path"]) == ("core", 1, str(images / "a"))


# Model versions, rounds, events


def test_one_version_is_champion(project: Project) -> None:
    assert project.champion() is None
    first, second = publish(project), publish(project)
    publish(project, status=VersionStatus.REJECTED)
    assert [version.status for version in project.versions()] == [
        VersionStatus.RETIRED,
        VersionStatus.CHAMPION,
        VersionStatus.REJECTED,
    ]
    project.set_champion(first)
    champion = project.champion()
    assert champion is not None
    assert (champion.version, champion.metrics, champion.path.name) == (1, {"loss": 0.1}, "0001.safetensors")
    assert project.versions()[1].status is VersionStatus.RETIRED
    with pytest.raises(ProjectError, match="no version 9"):
        project.set_champion(9)
    assert project.champion() == champion
    assert project.next_version() == second + 2


def test_version_number_is_used_once(project: Project) -> None:
    publish(project)
    with pytest.raises(ProjectError, match="already"):
        project.add_version(
            project.models_folder / "0001.safetensors",
            sha256="00",
            parent=None,
            status=VersionStatus.CHAMPION,
            core_count=0,
            holdout_count=0,
            holdout_iou=None,
            core_iou=None,
            metrics={},
        )
    assert project.champion() is not None


def test_rounds_and_events_are_kept_in_order(project: Project) -> None:
    project.record_round(seconds=2, steps=9, core_count=4, version=None, published=False, reason="stopped")
    project.record_round(seconds=3, steps=9, core_count=5, version=1, published=True, challenger_iou=0.9)
    assert [(r.version, r.published, r.challenger_iou, r.reason) for r in project.rounds()] == [
        (None, False, None, "stopped"),
        (1, True, 0.9, ""),
    ]
    for number in range(5):
        project.log("tick", number=number)
    assert [event.payload["number"] for event in project.events(kind="tick", limit=3)] == [2, 3, 4]
    assert [event.kind for event in project.events(limit=6)] == ["round"] + ["tick"] * 5


def test_labels_are_counted_by_split_and_age(project: Project, images: Path) -> None:
    ids = project.add([item(images / name) for name in "abc"])
    for image_id, split in zip(ids, (Split.CORE, Split.HOLDOUT, Split.CORE), strict=True):
        commit(project, image_id, split=split)
    first = project.labels()[0].label_id
    assert project.count_labels(split=Split.CORE) == 2
    assert project.count_labels(split=Split.CORE, after=first) == 1


# Looking on


def test_view_shows_an_open_project_and_changes_nothing(project: Project, images: Path) -> None:
    (image_id,) = project.add([item(images / "a")])
    commit(project, image_id)
    with Project.view(project.folder) as view:
        assert not view.is_writable
        np.testing.assert_array_equal(view.label_mask(image_id), blob())
        assert view.counts() == project.counts()
        for write in (
            lambda: commit(view, image_id, blob(rows=1)),
            lambda: view.regate(0.1),
            lambda: view.save_settings(Settings(seed=3)),
            lambda: view.add_source("x"),
            lambda: view.skip(image_id),
            lambda: view.add([item(images / "b")]),
            lambda: view.set_state(image_id, ImageState.EXCLUDED),
        ):
            with pytest.raises(StorageError):
                write()
    assert [path.name for path in project.masks_folder.iterdir()] == [f"{image_id}-1.png"]
    assert project.settings == Settings()
    commit(project, image_id, blob(rows=2))


def test_view_of_a_lost_mask_leaves_it_to_the_owner(project: Project, images: Path) -> None:
    (image_id,) = project.add([item(images / "a")])
    commit(project, image_id)
    mask_path = project.labels()[0].mask_path
    mask_path.write_bytes(b"cut")
    with Project.view(project.folder) as view, pytest.raises(StorageError):
        view.label_mask(image_id)
    assert mask_path.read_bytes() == b"cut"
    assert project.image(image_id).state is ImageState.LABELLED
