"""What the doctor finds, and that a missing display or library never aborts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from labeler import doctor
from labeler.doctor import Level


def test_sound_machine_is_found_sound() -> None:
    findings = {finding.topic: finding for finding in doctor.examine()}
    assert {"Python", "PySide6", "Qt libraries", "Display", "OpenCV", "PyTorch", "GPU", "bf16"} <= findings.keys()
    assert findings["Qt libraries"].level is Level.OK, findings["Qt libraries"]
    assert findings["PyTorch"].level is Level.OK
    assert all(finding.text for finding in findings.values())


@pytest.mark.parametrize(
    ("version", "python", "level"),
    [
        ("6.12.0", (3, 11), Level.MISSING),
        ("6.12.0", (3, 12), Level.OK),
        ("6.12.1", (3, 11), Level.OK),
        ("6.11.3", (3, 11), Level.OK),
    ],
)
def test_broken_pyside_is_named(version: str, python: tuple[int, int], level: Level) -> None:
    finding = doctor.judge_pyside(version, python)
    assert finding.level is level
    assert version in finding.text


def test_opencv_with_its_own_qt_is_listed_beside_the_headless_one() -> None:
    finding = doctor.judge_opencv({"opencv-python": "4.11.0", "opencv-python-headless": "4.12.0"})
    assert finding.level is Level.NOTE
    assert "opencv-python 4.11.0" in finding.text
    assert "opencv-python-headless 4.12.0" in finding.text
    assert "pip uninstall" in finding.remedy
    assert doctor.judge_opencv({"opencv-python-headless": "4.12.0"}).level is Level.OK


def test_missing_libraries_are_read_from_ldd_and_given_an_apt_line() -> None:
    listing = "\tlibEGL.so.1 => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x00)\n\tlibodd.so.3 => not found\n"
    libraries = doctor.unresolved(listing)
    assert libraries == ["libEGL.so.1", "libodd.so.3"]
    remedy = doctor.library_remedy(libraries)
    assert "apt-get install -y --no-install-recommends libegl1" in remedy
    assert "libodd.so.3" in remedy


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({}, "neither DISPLAY nor WAYLAND_DISPLAY is set"),
        ({"DISPLAY": ""}, "neither"),
        ({"QT_QPA_PLATFORM": "xcb", "WAYLAND_DISPLAY": "wayland-0"}, "DISPLAY is not set"),
        ({"QT_QPA_PLATFORM": "wayland", "DISPLAY": ":0"}, "WAYLAND_DISPLAY is not set"),
    ],
)
def test_missing_display_is_one_sentence(environ: dict[str, str], word: str) -> None:
    sentence = doctor.display_fault(environ, system="linux")
    assert word in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    "environ", [{"DISPLAY": ":0"}, {"WAYLAND_DISPLAY": "wayland-0"}, {"QT_QPA_PLATFORM": "offscreen"}]
)
def test_display_that_is_there_is_no_fault(environ: dict[str, str]) -> None:
    assert doctor.display_fault(environ, system="linux") == ""


def test_other_systems_need_no_display_variable() -> None:
    assert doctor.display_fault({}, system="darwin") == ""


def test_probe_finds_qt_working_offscreen() -> None:
    assert doctor.window_fault({**os.environ, "QT_QPA_PLATFORM": "offscreen"}) == ""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="X11 is looked for on Linux only")
def test_abort_of_qt_hits_the_child_and_becomes_a_sentence() -> None:
    # No server has this number: Qt aborts its process.
    environ = {**os.environ, "QT_QPA_PLATFORM": "xcb", "DISPLAY": ":4711"}
    sentence = doctor.window_fault(environ)
    assert sentence
    assert "\n" not in sentence


def test_qt_variables_of_opencv_are_dropped_and_others_kept() -> None:
    plugins = str(Path("/venv/lib/site-packages/cv2/qt/plugins"))
    environ = {"QT_QPA_PLATFORM_PLUGIN_PATH": plugins, "QT_QPA_FONTDIR": "/usr/share/fonts", "HOME": "/home"}
    assert doctor.clean_qt_environment(environ) == ["QT_QPA_PLATFORM_PLUGIN_PATH"]
    assert environ == {"QT_QPA_FONTDIR": "/usr/share/fonts", "HOME": "/home"}


def test_free_memory_is_a_plausible_number() -> None:
    free = doctor.free_memory_mb()
    assert free is None or 0 <= free < 2**30
