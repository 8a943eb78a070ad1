"""What each action of the table does in the window."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from labeler.ui.tools import Tool

if TYPE_CHECKING:
    from labeler.ui.window import MainWindow

SPECKS_PX = 16

Handlers = dict[str, Callable[[], object]]


def handlers(window: MainWindow) -> Handlers:
    """A call for every action that is triggered; those that are held act in the canvas."""
    return _of_project(window) | _of_image(window) | _of_canvas(window) | _of_review(window)


def _of_project(window: MainWindow) -> Handlers:
    session = window.session
    return {
        "sample": lambda: window.opening(session.open_sample),
        "open_folder": lambda: window.choose_folder(),
        "add_images": lambda: window.choose_more(),
        "open_project": lambda: window.choose_project(),
        "close_project": session.close_project,
        "save": session.save_now,
        "export": window.show_export,
        "settings": window.show_settings,
        "quit": window.close,
        "train": session.start_round,
        "audit": window.audit,
        "undo_threshold": session.undo_threshold,
        "key_map": window.show_keys,
        "palette": window.show_palette,
        "about": window.show_about,
    }


def _of_image(window: MainWindow) -> Handlers:
    session = window.session
    return {
        "commit": session.commit,
        "commit_unchanged": session.commit,
        "next": session.show_next,
        "previous": session.show_previous,
        "skip": session.skip,
        "exclude": session.exclude,
        "restore": lambda: session.restore(session.current),
        "undo": session.undo,
        "redo": session.redo,
        "fill_holes": session.fill_holes,
        "remove_specks": lambda: session.remove_specks(SPECKS_PX),
        "smooth": session.smooth,
        "snap": session.snap,
        "invert": lambda: session.invert(window.page().canvas.class_value),
        "copy_previous": session.copy_previous,
        "revert": session.revert,
    }


def _of_canvas(window: MainWindow) -> Handlers:
    page = window.page
    made: Handlers = {
        "swap": window.swap_tool,
        "smaller": lambda: page().canvas.step_diameter(-1),
        "larger": lambda: page().canvas.step_diameter(1),
        "pick_class": lambda: page().pick_class(),
        "next_part": lambda: page().canvas.show_next_part(),
        "doubt": lambda: page().switch_doubt(),
        "overlay": window.switch_overlay,
        "style": lambda: page().switch_style(),
        "fainter": lambda: page().set_opacity(page().canvas.opacity - 0.05),
        "stronger": lambda: page().set_opacity(page().canvas.opacity + 0.05),
        "fit": lambda: page().canvas.fit(),
        "actual": lambda: page().canvas.actual_size(),
        "zoom_in": lambda: page().canvas.zoom_in(),
        "zoom_out": lambda: page().canvas.zoom_out(),
    }
    for tool in Tool:
        made[tool.value] = partial(_choose_tool, window, tool.value)
    for value in range(1, 10):
        made[f"class_{value}"] = partial(_choose_class, window, value)
    return made


def _of_review(window: MainWindow) -> Handlers:
    page = window.page
    return {
        "side_by_side": lambda: page().stage.show_compare("side_by_side"),
        "swipe": lambda: page().stage.show_compare("swipe"),
        "changed": lambda: page().show_changed(),
        "report": lambda: page().stage.show_report(),
    }


def _choose_tool(window: MainWindow, name: str) -> None:
    window.page().choose_tool(name)


def _choose_class(window: MainWindow, value: int) -> None:
    window.page().choose_class(value)
