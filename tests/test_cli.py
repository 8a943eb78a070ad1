"""The command line: answers, exit codes, and silence about what is not our fault."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import answer, run

from labeler import checkpoint, images, masks, ships
from labeler.checkpoint import Checkpoint
from labeler.cli import COMMANDS
from labeler.cli.console import one_line
from labeler.files import shipped
from labeler.headless import take_up
from labeler.inference import Predictor
from labeler.metrics import iou
from labeler.networks import NetworkConfig, ResidualUNet
from labeler.project import Project
from labeler.records import ImageState
from labeler.settings import Settings
from labeler.studies import demo
from labeler.studies.report import figures

ROOT = Path(__file__).parents[1]
TINY = Settings(
    base_width=2,
    patch=32,
    batch=2,
    first_labels=3,
    first_steps=4,
    steps=2,
    long_steps=0,
    holdout_every=3,
    retrain_labels=2,
    probe_share=0.0,
)
FEW = 8


def child(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "labeler", *map(os.fspath, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.Popen(command, text=True, cwd=ROOT, **(pipes | options))


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    folder = tmp_path / "pairs"
    assert run("ships", folder, "-n", str(FEW), "--size", "64", "--radii", "6", "12").exit_code == 0
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    checkpoint.save(path, Checkpoint.of(ResidualUNet(NetworkConfig(base_width=2, dropout=0.0))))
    return path


@pytest.fixture
def project(tmp_path: Path, pairs: Path) -> Path:
    """A project over the pairs that trains tiny networks."""
    source = str(pairs / "images")
    with Project.create(tmp_path / "project", settings=TINY, sources=[source]) as opened:
        for _ in take_up(opened, [source]):
            pass
    return tmp_path / "project"


# Start and end of the process


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = (
        "import sys\ntry:\n    from labeler.cli import main; main()\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", code, "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "Without a command, the window opens" in found.stdout
    assert not {"torch", "PySide6", "cv2", "skimage", "numpy"} & set(found.stderr.split())
    # Processor time: other programs may be busy while the tests run.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0


@pytest.mark.parametrize(
    ("theirs", "expected"), [({}, ["PASSIVE", "10000"]), ({"OMP_WAIT_POLICY": "ACTIVE"}, ["ACTIVE", "-"])]
)
def test_idle_threads_spin_briefly_unless_told_otherwise(theirs: dict[str, str], expected: list[str]) -> None:
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environ = {name: value for name, value in os.environ.items() if name not in names} | theirs
    code = (
        f"import labeler.cli, os, sys\nprint(*(os.environ.get(name, '-') for name in {names}), 'torch' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == [*expected, "False"]


def test_version_is_told() -> None:
    assert re.fullmatch(r"labeler \d+\.\d+\.\d+\n", run("--version").stdout)


@pytest.mark.parametrize("name", [name for _, name, _ in COMMANDS])
def test_every_command_and_option_has_help(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "None" not in result.stdout


def test_readme_names_every_command_and_no_other() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    table = readme.split("## Command line")[1].split("##")[0]
    told = {line.split("`labeler ")[1].split()[0].rstrip("`") for line in table.splitlines() if "`labeler " in line}
    assert told - {"COMMAND"} == {name for _, name, _ in COMMANDS}


def test_fault_of_the_world_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    result = run("run", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert re.fullmatch(r"labeler: .*nowhere.*\n", result.stderr)


def test_name_of_a_file_cannot_forge_output(tmp_path: Path) -> None:
    result = run("run", tmp_path / "a\nlabeler: all is well\x1b[2J")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "\x1b" not in result.stderr


def test_one_line_keeps_letters_of_all_languages() -> None:
    assert one_line("Zellen_日本\n\t\udcff") == "Zellen_日本\\n\\t\\udcff"


def test_bug_is_not_taken_for_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Project, "view", broken)
    assert isinstance(run("models", tmp_path).exception, RuntimeError)


def test_ctrl_c_ends_a_watch_with_a_report_and_an_open_lock(project: Path) -> None:
    process = child("run", project, "--json")
    assert process.stderr is not None
    try:
        first = process.stderr.readline()
        assert "watching" in first, first + process.stderr.read()
        process.send_signal(signal.SIGINT)
        output, complaint = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in complaint
    assert json.loads(output.splitlines()[-1])["event"] == "state"
    with Project.open(project) as opened:
        assert opened.counts().streamed == FEW


def test_sigterm_ends_a_watch_cleanly(project: Path) -> None:
    process = child("run", project)
    assert process.stderr is not None
    try:
        assert "watching" in process.stderr.readline()
        process.terminate()
        _, complaint = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143
    assert "Traceback" not in complaint


def test_closed_stdout_is_no_traceback(project: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        process = child("models", project, stdout=write_end)
    finally:
        os.close(write_end)
    _, complaint = process.communicate(timeout=60)
    assert complaint == ""
    assert process.returncode == 141


# The window


def without_display() -> dict[str, str]:
    hidden = {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"}
    return {name: value for name, value in os.environ.items() if name not in hidden}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a display")
@pytest.mark.parametrize("arguments", [(), ("open", "PROJECT")])
def test_no_display_is_one_sentence(project: Path, arguments: tuple[str, ...]) -> None:
    command = [str(project) if argument == "PROJECT" else argument for argument in arguments]
    process = child(*command, env=without_display())
    output, complaint = process.communicate(timeout=60)
    assert process.returncode == 2, complaint
    assert output == ""
    assert re.fullmatch(r"labeler: there is no display .*\n", complaint)


def test_open_refuses_what_is_no_project(tmp_path: Path) -> None:
    result = run("open", tmp_path)
    assert result.exit_code == 2
    assert "is no project" in result.stderr


# Projects


def test_new_takes_up_images_and_lists_unreadable_ones(pairs: Path, tmp_path: Path) -> None:
    (pairs / "images" / "broken.png").write_bytes(b"no image")
    (pairs / "images" / "twin.png").write_bytes((pairs / "images" / "00000.png").read_bytes())
    result = run("new", tmp_path / "new", "--images", pairs / "images", "--threshold", "0.9", "--classes", "cell, dust")
    assert result.exit_code == 0, result.output
    assert f"{FEW + 1} images, 1 unreadable, 1 duplicate" in result.stdout
    assert "broken.png" in result.stderr
    with Project.open(tmp_path / "new") as opened:
        assert opened.settings.threshold == 0.9
        assert opened.settings.classes == ("cell", "dust")
        assert opened.sources == (str(pairs / "images"),)


def test_add_takes_up_images_of_further_sources(pairs: Path, tmp_path: Path) -> None:
    assert run("new", tmp_path / "new", "--images", pairs / "images").exit_code == 0
    result = run("add", tmp_path / "new", "ships:3?seed=5", pairs / "images")
    assert result.exit_code == 0, result.output
    assert f"{FEW + 3} images" in result.stdout
    assert run("add", tmp_path / "new", tmp_path / "tpyo").exit_code == 2
    with Project.open(tmp_path / "new") as opened:
        assert opened.sources == (str(pairs / "images"), "ships:3?seed=5")


def test_new_refuses_a_mistyped_source_before_anything_is_made(tmp_path: Path) -> None:
    result = run("new", tmp_path / "new", "--images", tmp_path / "tpyo")
    assert result.exit_code == 2
    assert not (tmp_path / "new").exists()


def test_new_that_fails_leaves_nothing_behind(pairs: Path, tmp_path: Path) -> None:
    wrong = run("new", tmp_path / "new", "--images", pairs / "images", "--model", pairs / "images" / "00000.png")
    assert wrong.exit_code == 2
    assert not (tmp_path / "new").exists()
    assert run("new", tmp_path / "new", "--images", pairs / "images").exit_code == 0
    again = run("new", tmp_path / "new", "--images", pairs / "images", "--model", tmp_path / "none.safetensors")
    assert again.exit_code == 2
    with Project.open(tmp_path / "new") as opened:  # what was there before stays
        assert opened.counts().streamed == FEW


def test_refused_settings_and_names_are_told_in_plain_words(pairs: Path, tmp_path: Path) -> None:
    twice = run("new", tmp_path / "new", "--images", pairs / "images", "--classes", "a,a")
    assert "new: classes: 1 to 254 different names are needed; correct it or leave it out" in twice.stderr
    unknown = run("curate", "ships:20", "--set", "foo=1", "--out", tmp_path / "out")
    assert "curate: foo: there is no such setting" in unknown.stderr
    order = run("curate", "ships:20", "--order", "bogus", "--out", tmp_path / "out")
    assert order.exit_code == 2
    assert "disagreement" in order.stderr
    assert not (tmp_path / "out").exists()


def test_relative_sources_are_found_from_anywhere(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pairs)
    assert run("new", tmp_path / "new", "--images", "images").exit_code == 0
    monkeypatch.chdir(tmp_path)
    assert answer("run", tmp_path / "new", "--once")["streamed"] == FEW


def test_device_is_kept_in_the_project(pairs: Path, tmp_path: Path) -> None:
    assert run("new", tmp_path / "new", "--images", pairs / "images", "--device", "cpu").exit_code == 0
    assert 'device = "cpu"' in (tmp_path / "new" / "project.toml").read_text()
    assert run("run", tmp_path / "new", "--once", "--device", "auto").exit_code == 0
    assert "device =" not in (tmp_path / "new" / "project.toml").read_text()
    assert run("train", tmp_path / "new", "--device", "abacus").exit_code == 2


def test_run_with_a_model_predicts_and_gates_everything(pairs: Path, model: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    assert answer("new", new, "--images", pairs / "images", "--model", model)["streamed"] == FEW
    state = answer("run", new, "--once")
    assert state["pool"] == 0
    assert state["accepted"] + state["queued"] == FEW
    assert state["champion"] == 1


def test_train_without_labels_says_what_is_missing(project: Path) -> None:
    result = run("train", project)
    assert result.exit_code == 2
    assert "Label an image first" in result.stderr


def test_simulate_labels_trains_and_counts_what_the_catalogue_has(project: Path, pairs: Path) -> None:
    result = run("simulate", project, "--reference", pairs / "masks", "--json")
    assert result.exit_code == 0, result.output
    *rounds, last = map(json.loads, result.stdout.splitlines())
    assert rounds
    assert all(line["event"] == "round" for line in rounds)
    with Project.open(project) as opened:
        counts = opened.counts()
        assert (last["streamed"], last["labelled"], last["rounds"]) == (FEW, counts.labelled, len(opened.rounds()))
    assert counts.queued == 0


def test_simulate_prints_a_line_a_round_and_a_table(project: Path, pairs: Path) -> None:
    result = run("simulate", project, "--reference", pairs / "masks", "--labels", "3")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("round 1: v1 ")
    for figure in ("streamed", "accepted by the model", "mean IoU of accepted masks", "training", "prediction"):
        assert re.search(rf"^{figure}  +\S", result.stdout, flags=re.MULTILINE), figure


def test_simulate_refuses_masks_of_other_images(project: Path, pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "zebra.png").write_bytes((pairs / "masks" / "00000.png").read_bytes())
    result = run("simulate", project, "--reference", tmp_path / "others")
    assert result.exit_code == 2
    assert "no mask there is named like an image" in result.stderr


def test_simulate_refuses_masks_of_another_size_and_leaves_the_project_alone(
    project: Path, pairs: Path, tmp_path: Path
) -> None:
    (tmp_path / "small").mkdir()
    for path in (pairs / "masks").iterdir():
        (tmp_path / "small" / path.name).write_bytes(images.encode(np.zeros((5, 5), np.uint8)))
    result = run("simulate", project, "--reference", tmp_path / "small")
    assert result.exit_code == 2
    assert "none of the first" in result.stderr
    assert "5 x 5 pixels" in result.stderr
    with Project.open(project) as opened:
        assert opened.counts().excluded == 0


def test_simulate_names_the_images_that_it_leaves_out(project: Path, pairs: Path) -> None:
    for path in sorted((pairs / "masks").iterdir())[3:]:
        path.unlink()
    result = run("simulate", project, "--reference", pairs / "masks", "--labels", "3")
    assert result.exit_code == 0, result.output
    with Project.open(project) as opened:
        left_out = opened.images(state=ImageState.EXCLUDED)
    assert left_out
    assert f"excluded: {left_out[0].path.name}: no reference mask" in result.stderr


@pytest.fixture
def trained(project: Path, pairs: Path) -> Path:
    assert run("simulate", project, "--reference", pairs / "masks", "--labels", "3").exit_code == 0
    return project


def test_models_and_certificate_are_told_while_the_project_is_open(trained: Path) -> None:
    with Project.open(trained):
        assert [version["version"] for version in answer("models", trained)] == [1]
        assert answer("certificate", trained)["statement"]
        assert run("models", trained, "--rollback", "1").exit_code == 2


def test_train_makes_a_version_and_rollback_goes_back(trained: Path) -> None:
    assert answer("train", trained)["version"] == 2
    assert run("models", trained, "--rollback", "1").exit_code == 0
    versions = {version["version"]: version["status"] for version in answer("models", trained)}
    assert versions[1] == "champion"
    assert run("models", trained, "--rollback", "99").exit_code == 2


@pytest.mark.parametrize("format", ["png", "coco"])
def test_export_writes_what_it_says(trained: Path, tmp_path: Path, format: str) -> None:
    summary = answer("export", trained, tmp_path / "out", "--format", format)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert summary["images"] == manifest["images"] == len(manifest["items"]) >= 3
    assert run("export", trained, tmp_path / "out", "--format", format).exit_code == 2


def test_unknown_export_format_is_refused(trained: Path, tmp_path: Path) -> None:
    result = run("export", trained, tmp_path / "out", "--format", "voc")
    assert result.exit_code == 2
    assert "choose one of png, coco" in result.stderr


# Plain files


def test_ships_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    for name, seed in (("a", "5"), ("b", "5"), ("c", "6")):
        assert answer("ships", tmp_path / name, "-n", "3", "--seed", seed)["pairs"] == 3
    image: Callable[[str], bytes] = lambda name: (tmp_path / name / "images" / "00002.png").read_bytes()  # noqa: E731
    assert image("a") == image("b") != image("c")
    mask = masks.load_reference(tmp_path / "a" / "masks" / "00002.png", classes=1)
    assert set(np.unique(mask)) == {0, 1}
    assert run("ships", tmp_path / "a").exit_code == 2


def test_predict_writes_what_the_model_says(pairs: Path, model: Path, tmp_path: Path) -> None:
    (pairs / "images" / "broken.png").write_bytes(b"no image")
    summary = answer("predict", pairs / "images", "--model", model, "--out", tmp_path / "out")
    assert (summary["images"], summary["unreadable"]) == (FEW, 1)
    expected = Predictor.load(model).predict([images.load(pairs / "images" / "00003.png")])[0]
    assert np.array_equal(masks.load(tmp_path / "out" / "masks" / "00003.png"), expected.mask)
    assert run("predict", pairs / "images", "--model", model, "--out", tmp_path / "out").exit_code == 2


def test_predict_never_writes_among_the_images(pairs: Path, model: Path) -> None:
    before = sorted(pairs.rglob("*"))
    assert run("predict", pairs / "images", "--model", model, "--out", pairs / "images" / "out").exit_code == 2
    assert sorted(pairs.rglob("*")) == before


def test_predict_without_images_leaves_nothing(model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run("predict", tmp_path / "empty", "--model", model, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "there is no image to predict" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "model.json", "model.safetensors"]


def test_damaged_model_is_a_sentence(pairs: Path, model: Path, tmp_path: Path) -> None:
    model.write_bytes(model.read_bytes()[:100])
    result = run("predict", pairs / "images", "--model", model, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1


def test_doctor_finds_this_machine_fit_enough_to_test() -> None:
    result = run("doctor", "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == (0 if report["ok"] else 2)
    assert {finding["topic"] for finding in report["findings"]} >= {"Python", "PySide6", "PyTorch", "Display"}
    assert all(set(finding) == {"topic", "level", "text", "remedy"} for finding in report["findings"])


# The sample without a window


def test_headless_demo_reports_the_figures_of_its_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "STEPS", 3)
    monkeypatch.setattr(demo, "LABELS_A_ROUND", 6)
    out = tmp_path / "demo"
    told = answer("demo", "--headless", "--images", "30", "--out", out)
    with Project.open(out / "project") as opened:
        assert figures(opened) == told
        counts, rounds = opened.counts(), opened.rounds()
    assert counts.streamed == 30
    assert len(rounds) in (1, 2)
    assert counts.labelled > 0
    report = (out / "report.md").read_text("utf-8")
    assert f"| 30 | {counts.accepted} | {counts.labelled} | {counts.core} | {counts.holdout} |" in report
    assert images.load(out / "sheet.png").shape[2] == 3
    assert "sheet.png" in report


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a display")
def test_demo_without_a_display_tells_its_story_without_a_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "ROUNDS", 0)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    result = run("demo", "--images", "30", "--out", tmp_path / "demo")
    assert result.exit_code == 0, result.output
    assert "there is no display" in result.stderr
    assert f"report: {tmp_path / 'demo' / 'report.md'}" in result.stdout
    assert (tmp_path / "demo" / "sheet.png").is_file()


def test_demo_refuses_a_folder_with_content(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    assert run("demo", "--headless", "--out", tmp_path).exit_code == 2


def test_demo_takes_a_free_name(tmp_path: Path) -> None:
    assert demo.free_folder(tmp_path / "demo") == tmp_path / "demo"
    (tmp_path / "demo").mkdir()
    assert demo.free_folder(tmp_path / "demo") == tmp_path / "demo-2"


def test_shipped_model_finds_ships_among_rectangles() -> None:
    drawn = list(ships.pairs(12, seed=77))
    found = Predictor.load(shipped("models/ships.safetensors")).predict([ships.as_uint8(image) for image, _ in drawn])
    ious = [float(iou(prediction.mask, mask)) for prediction, (_, mask) in zip(found, drawn, strict=True)]
    assert np.mean(ious) > 0.95
