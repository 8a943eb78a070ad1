"""`labeler certificate` and `labeler audit`, as a script uses them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from commands import answer, run

from labeler import files, masks
from labeler.accepts import coin_of
from labeler.project import Project
from labeler.records import ImageState, PredictionRecord, StreamItem, VersionStatus
from labeler.settings import Settings

COUNT = 60


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that has accepted 60 masks; its coins fall alike in every run."""
    monkeypatch.setattr("labeler.accepts.secrets", SimpleNamespace(token_bytes=lambda count: b"\x07" * count))
    home = tmp_path / "project"
    with Project.create(home, settings=Settings(probe_share=0.0, audit_share=0.15)) as project:
        (project.models_folder / "0001.safetensors").write_bytes(b"weights")
        project.add(
            [StreamItem(tmp_path / f"{n}.png", hashlib.sha256(b"%d" % n).hexdigest(), 8, 8) for n in range(COUNT)]
        )
        kind: dict[str, Any] = {"parent": None, "core_count": 1, "holdout_count": 0, "holdout_iou": None}
        project.add_version(
            project.models_folder / "0001.safetensors",
            sha256=hashlib.sha256(b"weights").hexdigest(),
            status=VersionStatus.CHAMPION,
            core_iou=None,
            metrics={},
            **kind,
        )
        records = []
        for image_id in range(1, COUNT + 1):
            paths = files.prediction_paths(project.predictions_folder, image_id, 1)
            paths[0].parent.mkdir(exist_ok=True)
            digest = masks.save(paths[0], np.eye(8, dtype=np.uint8), durable=False)
            records.append(PredictionRecord(image_id, 1, 0.9, 0.9, 1.0, 0.125, digest))
        project.record_predictions(records, threshold=0.8)
    return home


def test_audits_to_the_end_narrow_the_certificate(folder: Path) -> None:
    before = answer("certificate", folder)
    assert before["whole"]["wrong_left_at_most"] == COUNT
    waiting = before["pending_audits"]
    assert 3 < waiting < 30
    shown = set()
    while (told := answer("audit", folder, "--next"))["audit"] is not None:
        audit = told["audit"]
        assert set(audit) == {"id", "image", "mask"}  # blind: nothing of the confidence
        assert Path(audit["mask"]).is_file()
        shown.add(audit["id"])
        said = "wrong" if len(shown) == 2 else "right"
        found = answer("audit", folder, "--answer", said, "--id", str(audit["id"]), "--seconds", "2.5")
        assert found["waiting"] == waiting - len(shown)
    assert len(shown) == waiting
    after = answer("certificate", folder)
    assert after["whole"]["found_wrong_K"] == 1
    assert after["whole"]["unfinished_audits"] == 0
    assert 0 < after["whole"]["wrong_left_at_most"] < COUNT
    with Project.open(folder) as project:
        assert len(project.images(state=ImageState.QUEUED)) == 1


def test_certificate_is_written_for_people_and_programs(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "found" / "certificate"
    out.parent.mkdir()
    result = run("certificate", folder, "--out", out)
    assert result.exit_code == 0, result.output
    values = json.loads((tmp_path / "found" / "certificate.json").read_text())
    text = (tmp_path / "found" / "certificate.md").read_text()
    log = (tmp_path / "found" / "certificate.log").read_text()
    assert values["statement"] in text
    assert "What it does not promise" in text
    assert hashlib.sha256(log.encode()).hexdigest() == values["audit_log_sha256"]
    assert values["audit_log_sha256"] in text
    assert [model["version"] for model in values["model_versions"]] == [1]
    assert "seeds" not in values
    assert (values["alpha"], values["wrong_below_iou"]) == (0.05, 0.8075)


def test_third_party_can_check_that_audits_were_not_picked(folder: Path) -> None:
    values = answer("certificate", folder, "--reveal")
    (epoch,) = values["epochs"]
    seed = bytes.fromhex(values["seeds"][str(epoch["epoch"])])
    assert hashlib.sha256(seed).hexdigest() == epoch["seed_sha256"]
    with Project.open(folder) as project:
        events = [json.loads(line) for line in project.accepts.log_lines()]
        assert project.accepts.epochs()[-1].reason == "the seed was revealed"
    accepts = [event for event in events if "mask_sha256" in event]
    assert len(accepts) == COUNT
    assert all(event["coin"] == coin_of(seed, event["accept"], epoch["audit_probability"]) for event in accepts)


def test_certificate_without_accepted_masks_says_so(tmp_path: Path) -> None:
    Project.create(tmp_path / "empty").close()
    result = run("certificate", tmp_path / "empty")
    assert result.exit_code == 0
    assert "nothing to certify" in result.stdout


@pytest.mark.parametrize(
    "arguments", [(), ("--next", "--answer", "right"), ("--answer", "right"), ("--answer", "right", "--id", "99999")]
)
def test_answer_to_what_was_not_asked_is_refused(folder: Path, arguments: tuple[str, ...]) -> None:
    result = run("audit", folder, *arguments)
    assert result.exit_code == 2
    assert "audit" in result.output


def test_only_drawn_masks_can_be_audited(folder: Path) -> None:
    with Project.open(folder) as project:
        (tails, *_) = (
            a for record in project.images() for a in project.accepts.of_image(record.image_id) if not a.coin
        )
    result = run("audit", folder, "--answer", "right", "--id", str(tails.accept_id))
    assert result.exit_code == 2
    assert "not drawn" in result.output
