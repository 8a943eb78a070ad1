"""What the status strip and the buttons are told."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication

if TYPE_CHECKING:
    from labeler.loop import Status


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """Everything the status strip and the buttons need."""

    loop: Status
    stream: str  # what the source of images is doing
    round: str  # what the round is doing, "" while none runs
    saved: str
    is_training: bool
    is_paused: bool
    is_predicting: bool
    can_undo: bool
    can_redo: bool
    can_undo_threshold: bool


def saved_text(saved_at: float | None, unsaved: int) -> str:
    """When something was last written (time.monotonic()), or how many drawings the disk refused."""
    if unsaved:
        return _tr("NOT SAVED: {} drawings, only in memory").format(unsaved)
    if saved_at is None:
        return _tr("saved")
    ago = time.monotonic() - saved_at
    return _tr("saved {:.0f} s ago").format(ago) if ago < 60 else _tr("saved {:.0f} min ago").format(ago / 60)


def viewed_text() -> str:
    """In the place of the above, for a project that is only looked at."""
    return _tr("for viewing only")


def _tr(text: str) -> str:
    return QCoreApplication.translate("status", text)
