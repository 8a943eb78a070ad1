"""What a person gets who installs the wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling import build

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    before = Path.cwd()
    os.chdir(ROOT)  # the backend builds the current folder
    try:
        return folder / build.build_wheel(str(folder))
    finally:
        os.chdir(before)


def test_wheel_carries_models_and_assets(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for folder in ("models", "assets"):
        carried = {name.removeprefix("labeler/") for name in names if name.startswith(f"labeler/{folder}/")}
        assert carried == {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*") if path.is_file()}
    assert "labeler/models/ships.safetensors" in names


def test_wheel_carries_all_code_and_no_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / "labeler").rglob("*.py")} <= names
    assert not [name for name in names if name.startswith(("tests/", ".ci/"))]


def test_wheel_carries_licence_and_script(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    info = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA")).removesuffix("METADATA")
    assert "License-Expression: Apache-2.0" in archive.read(f"{info}METADATA").decode()
    assert archive.read(f"{info}licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert "labeler = labeler.cli:main" in archive.read(f"{info}entry_points.txt").decode()


def test_unpacked_wheel_finds_its_shipped_files(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = "from labeler.files import shipped, PACKAGE; print(PACKAGE, shipped('models/ships.safetensors'))"
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    found = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == [str(tmp_path / "labeler"), str(tmp_path / "labeler/models/ships.safetensors")]


def test_only_the_headless_opencv_and_sound_qt_are_required() -> None:
    required = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    names = [requirement.split(";")[0].split("=")[0].split(">")[0].split("<")[0].strip() for requirement in required]
    assert "opencv-python-headless" in names
    assert not {"opencv-python", "opencv-contrib-python", "PySide6"} & set(names)
    old_python = next(r for r in required if r.startswith("PySide6-Essentials") and "< '3.12'" in r)
    assert "<6.12" in old_python.split(";")[0]


@pytest.mark.parametrize("library", ["torch", "scipy.stats", "skimage.measure", "pycocotools"])
def test_window_can_be_shown_before_a_slow_library_is_imported(library: str) -> None:
    code = f"import sys, labeler.ui.app, labeler.ui.window; sys.exit({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
