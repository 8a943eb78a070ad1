"""What this machine lacks, in plain words: Qt's system libraries, a display, a GPU, memory.

Qt is only ever loaded in a child process here: where a library or a display is missing, Qt aborts the process
without a Python exception.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

APT = "apt-get install -y --no-install-recommends"
# Leave-one-out proven on a bare Debian 12; the rest is what these packages pull in by themselves.
PACKAGES = {
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libGL.so.1": "libgl1",
    "libGLX.so.0": "libgl1",
    "libOpenGL.so.0": "libopengl0",
    "libEGL.so.1": "libegl1",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfontconfig1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxcb.so.1": "libxcb1",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libX11.so.6": "libx11-6",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libwayland-client.so.0": "libwayland-client0",
    "libwayland-cursor.so.0": "libwayland-cursor0",
    "libwayland-egl.so.1": "libwayland-egl1",
}
QT_FILES = ("QtCore.abi3.so", "QtGui.abi3.so", "QtWidgets.abi3.so", "Qt/plugins/platforms/libqxcb.so")
CV2_VARIABLES = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR")
WINDOWLESS_PLATFORMS = frozenset({"offscreen", "minimal", "vnc", "linuxfb", "eglfs", "minimalegl", "vkkhrdisplay"})
PROBE = """
import json
try:
    import PySide6.QtWidgets
except ImportError as error:
    print(json.dumps({"imported": False, "why": str(error)}), flush=True)
else:
    print(json.dumps({"imported": True}), flush=True)
    application = PySide6.QtWidgets.QApplication([])
    print(json.dumps({"platform": application.platformName()}), flush=True)
"""
CGROUP = Path("/sys/fs/cgroup")
PROBE_TIMEOUT_S = 30.0
LITTLE_MEMORY_MB = 2048
LITTLE_DISK_MB = 1024


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    NOTE = "note"  # works, but a person should know
    MISSING = "missing"  # part of the product cannot work until it is mended


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what was found, in words, and the way out where one is needed."""

    topic: str
    level: Level
    text: str
    remedy: str = ""


# --------------------------------------------------------------------------------------- the window


def clean_qt_environment(environ: MutableMapping[str, str] = os.environ) -> list[str]:
    """Drop the Qt variables that the GUI build of OpenCV sets to its own plugins; returns their names."""
    foreign = [name for name in CV2_VARIABLES if "cv2" in Path(environ.get(name, "")).parts]
    for name in foreign:
        del environ[name]
    return foreign


def display_fault(environ: Mapping[str, str] = os.environ, *, system: str = sys.platform) -> str:
    """Why no window can be shown, as a sentence; "" where nothing speaks against one."""
    if not system.startswith("linux"):
        return ""
    platform = environ.get("QT_QPA_PLATFORM", "").split(":")[0].split(";")[0]
    if platform in WINDOWLESS_PLATFORMS:
        return ""
    wanted = {"xcb": ("DISPLAY",), "wayland": ("WAYLAND_DISPLAY",)}.get(platform, ("DISPLAY", "WAYLAND_DISPLAY"))
    if any(environ.get(name) for name in wanted):
        return ""
    unset = f"{wanted[0]} is not set" if len(wanted) == 1 else f"neither {' nor '.join(wanted)} is set"
    return (
        f"there is no display for a window ({unset}); start labeler on a desktop, through ssh -X or under xvfb-run, "
        "or use a command that needs no window (labeler --help lists them)"
    )


class WindowProbe:
    """A child process that tries to open a Qt application, so that an abort hits the child and not us.

    It runs while the caller imports; ``fault()`` waits for it.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        # -P: a stray PySide6.py in the current folder must not be run.
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-c", PROBE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environ),
            text=True,
            errors="replace",
        )

    def fault(self) -> str:
        """Why Qt cannot open a window here, as a sentence with the way out; "" if it can."""
        try:
            output, complaint = self._child.communicate(timeout=PROBE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.communicate()
            return f"Qt did not answer within {PROBE_TIMEOUT_S:.0f} s; is the display reachable?"
        seen: dict[str, object] = {}
        for line in output.splitlines():
            seen.update(json.loads(line))
        if "platform" in seen:
            return ""
        return _probe_sentence(seen, complaint)


def window_fault(environ: Mapping[str, str] = os.environ) -> str:
    """Why no window can be opened here, as a sentence with the way out; "" if one can."""
    return display_fault(environ) or WindowProbe(environ).fault()


def _probe_sentence(seen: Mapping[str, object], complaint: str) -> str:
    if libraries := missing_libraries():
        return f"Qt's system libraries are missing ({', '.join(libraries)}); {library_remedy(libraries)}"
    why = str(seen.get("why", ""))
    if library := re.search(r"(lib\S+\.so[.\d]*): cannot open shared object", why):
        return f"Qt's system libraries are missing ({library[1]}); {library_remedy([library[1]])}"
    if "imported" in seen and not seen["imported"]:
        return f"PySide6 cannot be imported ({why}); install labeler again into a fresh environment"
    if "could not connect to display" in complaint:
        return (
            "the display that DISPLAY names cannot be reached; is the X server running and are you allowed to use it?"
        )
    lines = [line.strip() for line in complaint.splitlines() if line.strip()] or ["it ended without a word"]
    telling = next((line for line in lines if "could not" in line.lower()), lines[-1])
    return f"Qt cannot open a window here ({telling}); `labeler doctor` looks further"


# --------------------------------------------------------------------------------------- libraries


def missing_libraries(folder: Path | None = None) -> list[str]:
    """Names of the shared libraries that Qt needs and the system lacks, sorted; [] where ldd is not to be had."""
    folder = folder or pyside_folder()
    ldd = shutil.which("ldd")
    if folder is None or ldd is None or not sys.platform.startswith("linux"):
        return []
    names: set[str] = set()
    for file in (folder / name for name in QT_FILES):
        if file.exists():
            listing = subprocess.run(
                [ldd, os.fspath(file)], capture_output=True, text=True, errors="replace", check=False
            )
            names.update(unresolved(listing.stdout))
    return sorted(names)


def unresolved(listing: str) -> list[str]:
    """The libraries that a listing by ldd names as not found."""
    return re.findall(r"^\s*(\S+) => not found", listing, flags=re.MULTILINE)


def library_remedy(libraries: Iterable[str]) -> str:
    """The command that installs ``libraries`` on Debian and Ubuntu, or a hint where the package is not known."""
    libraries = list(libraries)
    packages = sorted({PACKAGES[name] for name in libraries if name in PACKAGES})
    unknown = sorted(name for name in libraries if name not in PACKAGES)
    parts = [f"on Debian or Ubuntu: {APT} {' '.join(packages)}"] if packages else []
    if unknown:
        parts.append(f"install the packages that hold {', '.join(unknown)}")
    return "; ".join(parts)


def pyside_folder() -> Path | None:
    """Where PySide6 is installed, found without importing it."""
    found = importlib.util.find_spec("PySide6")
    locations = list(found.submodule_search_locations or []) if found else []
    return Path(locations[0]) if locations else None


# --------------------------------------------------------------------------------------- all findings


def examine(folder: Path | None = None) -> Iterator[Finding]:
    """Look at everything in turn; the disk is the one of ``folder`` (default: the current folder)."""
    yield _python()
    yield _pyside()
    yield _qt_libraries()
    yield _display()
    yield _opencv()
    yield from _torch()
    yield _memory()
    yield _disk(folder or Path.cwd())


def _python() -> Finding:
    return Finding("Python", Level.OK, f"Python {'.'.join(map(str, sys.version_info[:3]))} on {sys.platform}")


def installed_version(*distributions: str) -> tuple[str, str] | None:
    """(name, version) of the first of ``distributions`` that is installed."""
    for name in distributions:
        try:
            return name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _pyside() -> Finding:
    found = installed_version("PySide6-Essentials", "PySide6")
    if found is None:
        return Finding("PySide6", Level.MISSING, "PySide6 is not installed", "install labeler again")
    return judge_pyside(found[1], sys.version_info[:2])


def judge_pyside(version: str, python: tuple[int, int]) -> Finding:
    """Whether this PySide6 is sound on this Python."""
    if version.startswith("6.12.0") and python < (3, 12):
        return Finding(
            "PySide6",
            Level.MISSING,
            f"PySide6 {version} is broken below Python 3.12: it aborts the window after a few thousand calls",
            "pip install 'PySide6-Essentials>=6.8.3,<6.12'",
        )
    return Finding("PySide6", Level.OK, f"PySide6 {version}")


def _qt_libraries() -> Finding:
    libraries = missing_libraries()
    if libraries:
        text = f"system libraries that Qt needs are missing: {', '.join(libraries)}"
        return Finding("Qt libraries", Level.MISSING, text, library_remedy(libraries))
    # Offscreen: it is the libraries that are asked about, not the display.
    fault = WindowProbe({**os.environ, "QT_QPA_PLATFORM": "offscreen"}).fault()
    if fault:
        return Finding("Qt libraries", Level.MISSING, f"Qt does not start: {fault}")
    return Finding("Qt libraries", Level.OK, "the system libraries that Qt needs are there")


def _display() -> Finding:
    environ = dict(os.environ)
    clean_qt_environment(environ)
    if fault := display_fault(environ):
        return Finding("Display", Level.NOTE, fault)
    if fault := WindowProbe(environ).fault():
        return Finding("Display", Level.MISSING, fault)
    return Finding("Display", Level.OK, "a window can be opened")


def _opencv() -> Finding:
    found = {
        name: version
        for name in (
            "opencv-python",
            "opencv-contrib-python",
            "opencv-python-headless",
            "opencv-contrib-python-headless",
        )
        if (version := (installed_version(name) or ("", ""))[1])
    }
    return judge_opencv(found)


def judge_opencv(found: Mapping[str, str]) -> Finding:
    """What the installed OpenCV distributions (name -> version) mean for the window."""
    listed = ", ".join(f"{name} {version}" for name, version in found.items())
    if not found:
        return Finding("OpenCV", Level.MISSING, "OpenCV is not installed", "pip install opencv-python-headless")
    with_window = [name for name in found if not name.endswith("-headless")]
    if with_window:
        return Finding(
            "OpenCV",
            Level.NOTE,
            f"an OpenCV with its own Qt is installed ({listed}); labeler keeps its Qt plugins out of the window, "
            "other programs may not",
            f"pip uninstall -y {' '.join(found)}, then pip install opencv-python-headless (they share one folder)",
        )
    return Finding("OpenCV", Level.OK, listed)


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding("PyTorch", Level.MISSING, f"PyTorch cannot be imported ({error})", "install labeler again")
        return
    from labeler.device import autocast_dtype, choose_device, describe, processor_has_bf16

    device = choose_device("auto")
    yield Finding("PyTorch", Level.OK, f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
    if device.type == "cpu":
        built = (
            f"this PyTorch was built for CUDA {torch.version.cuda}, but"
            if torch.version.cuda
            else "this is a CPU build:"
        )
        yield Finding("GPU", Level.NOTE, f"{built} no usable GPU was found; everything runs on {describe(device)}")
    else:
        yield Finding("GPU", Level.OK, describe(device))
    if autocast_dtype(device) is not None:
        yield Finding("bf16", Level.OK, "bf16 arithmetic is supported")
    elif device.type == "cpu" and processor_has_bf16():
        yield Finding("bf16", Level.OK, "bf16 arithmetic is slower than fp32 on this processor; fp32 is used")
    else:
        yield Finding(
            "bf16", Level.NOTE, "no bf16 arithmetic on this device; training and prediction use fp32 (slower)"
        )


def _memory() -> Finding:
    free = free_memory_mb()
    if free is None:
        return Finding("Memory", Level.NOTE, "free memory cannot be told on this system")
    text = f"{free / 1024:.1f} GiB of memory free"
    if free < LITTLE_MEMORY_MB:
        remedy = "close other programs, or lower the settings memory_mb, batch and base_width"
        return Finding("Memory", Level.NOTE, f"only {text}", remedy)
    return Finding("Memory", Level.OK, text)


def free_memory_mb() -> int | None:
    """Memory that may still be used, in MiB; a container's limit counts. None where it cannot be told."""
    free = _system_memory_mb()
    limit = _number(CGROUP / "memory.max")
    used = _number(CGROUP / "memory.current")
    if limit is None or used is None:
        return free
    within = max(0, limit - used + _reclaimable()) // 2**20
    return within if free is None else min(free, within)


def _system_memory_mb() -> int | None:
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text("ascii"), flags=re.MULTILINE)
        return int(found[1]) // 1024 if found else None
    except OSError:
        pass
    try:  # not Linux: the best that POSIX names
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    except (AttributeError, OSError, ValueError):
        return None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None  # "max": no limit


def _reclaimable() -> int:
    """Bytes of file cache that count as used by the container but would be given back."""
    try:
        found = re.search(r"^inactive_file (\d+)", (CGROUP / "memory.stat").read_text("ascii"), flags=re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free // 2**20
    text = f"{free / 1024:.1f} GiB free on the disk of {folder}"
    if free < LITTLE_DISK_MB:
        return Finding("Disk", Level.NOTE, f"only {text}", "free some space before labelling")
    return Finding("Disk", Level.OK, text)
