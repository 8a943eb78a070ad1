"""The one way to write a file, hashes, where the shipped files lie, and what is told beside a model."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

from labeler.errors import StorageError

PACKAGE = Path(__file__).parent
STAGED_SUFFIX = ".staged"


def sha256_of(payload: bytes) -> str:
    """Hex SHA-256 of bytes."""
    return hashlib.sha256(payload).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes. OSError as it comes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_atomically(path: Path, payload: bytes, *, durable: bool = True) -> None:
    """Stage beside, fsync, replace: afterwards the file is whole and new, or untouched.

    ``durable=False`` skips the fsyncs, for files that can be made again. StorageError where the disk refuses.
    """
    staged = path.with_name(f"{path.name[:80]}.{secrets.token_hex(4)}{STAGED_SUFFIX}")
    try:
        with staged.open("wb") as stream:
            stream.write(payload)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        staged.replace(path)
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            staged.unlink()
        why = error.strerror or str(error)
        raise StorageError(f"{path}: cannot be written ({why}); free some space or choose another folder") from error


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` durable (a no-op where folders cannot be opened, as on Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_staged(folder: Path) -> None:
    """Delete what a killed write left behind in ``folder``."""
    for staged in folder.glob(f"*{STAGED_SUFFIX}"):
        with contextlib.suppress(OSError):
            staged.unlink()


def shipped(relative: str) -> Path:
    """Path of a shipped file such as ``models/ships.safetensors``: in the wheel, else in the checkout."""
    inside = PACKAGE / relative
    return inside if inside.exists() else PACKAGE.parent / relative


def prediction_paths(folder: Path, image_id: int, version: int) -> tuple[Path, Path]:
    """Files of a prediction below ``predictions/``: mask and probabilities, both PNG."""
    place = folder / f"{version:04d}"
    return place / f"{image_id}.mask.png", place / f"{image_id}.prob.png"


def metrics_of(path: Path) -> dict[str, Any]:
    """What the JSON file beside a model tells of it; {} where there is none. Nothing in it has been checked."""
    metrics = json_beside(path).get("metrics", {})
    return metrics if isinstance(metrics, dict) else {}


def json_beside(path: Path) -> dict[str, Any]:
    """The object in the JSON file beside a model; {} where there is none."""
    try:
        content = json.loads(path.with_suffix(".json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
