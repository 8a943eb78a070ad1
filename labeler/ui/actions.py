"""The table of actions: one row gives the menu entry, the button, the tooltip, the key and the key map."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, Flag, auto

from PySide6.QtCore import QCoreApplication, QObject, Qt
from PySide6.QtGui import QAction, QKeySequence

from labeler.ui.theme import dress


class Scope(Enum):
    """Where a key works. The window's keys work everywhere, so no other scope may use one of them."""

    WINDOW = auto()
    PROJECT = auto()  # a project is open; bare letters are off in text fields
    CANVAS = auto()  # the canvas or a list of images has the focus


class Need(Flag):
    """What must be there for an action to be possible."""

    NOTHING = 0
    PROJECT = auto()
    CHOSEN = auto()  # an image that is shown, or cannot be
    IMAGE = auto()  # shown
    PREDICTION = auto()
    CAN_UNDO = auto()
    CAN_REDO = auto()
    UNDRAFTED = auto()  # no stroke on this image yet
    THRESHOLD_CHANGED = auto()
    EXCLUDED = auto()
    NOT_EXCLUDED = auto()


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """One action; ``keys`` in Qt's portable notation, the first one is shown."""

    name: str
    text: str
    keys: tuple[str, ...] = ()
    icon: str = ""
    group: str = "File"
    scope: Scope = Scope.PROJECT
    need: Need = Need.PROJECT
    checkable: bool = False
    held: bool = False  # acts while the key is down; the canvas sees the key, no shortcut is made
    tip: str = ""
    short: str = ""  # on a button, where the text is too long
    listed: bool = True  # in the menus


# Wheel and mouse gestures have no action, but belong on the key map.
GESTURES = (
    ("Brush size", "Shift+Wheel"),
    ("Zoom", "Wheel"),
    ("Pan", "Space+Drag"),
    ("Straight segment", "Shift+Click"),
    ("Take away instead of add, with every tool", "Ctrl+Drag"),
    ("Scribble also what looks like it", "Shift+Drag"),
)

_W, _C = Scope.WINDOW, Scope.CANVAS
_CHOSEN = Need.PROJECT | Need.CHOSEN
_IMAGE, _PREDICTED = Need.PROJECT | Need.IMAGE, Need.PROJECT | Need.IMAGE | Need.PREDICTION
_File, _Decide, _Tools, _Mask, _View, _Model, _Help = "File", "Decide", "Tools", "Mask", "View", "Model", "Help"


def _tool(name: str, text: str, key: str, tip: str) -> ActionSpec:
    return ActionSpec(name, text, (key,), name.replace("_", "-"), _Tools, need=_IMAGE, checkable=True, tip=tip)


def _class(value: int) -> ActionSpec:
    return ActionSpec(f"class_{value}", f"Class {value}", (str(value),), "", _Tools, need=_IMAGE, listed=False)


ACTIONS: tuple[ActionSpec, ...] = (
    ActionSpec("sample", "Try the sample", (), "sample", _File, _W, Need.NOTHING),
    ActionSpec("open_folder", "Open a folder of images…", ("Ctrl+O",), "folder", _File, _W, Need.NOTHING),
    ActionSpec("add_images", "Add images…", (), "folder", _File, _W, tip="One more folder for this project"),
    ActionSpec("open_project", "Open a project…", ("Ctrl+Shift+O",), "project", _File, _W, Need.NOTHING),
    ActionSpec("close_project", "Close the project", ("Ctrl+W",), "close", _File, _W),
    ActionSpec("save", "Save now", ("Ctrl+S",), "check", _File, _W, tip="Everything is saved as you go"),
    ActionSpec("export", "Export…", ("Ctrl+E",), "export", _File, _W),
    ActionSpec("settings", "Settings…", ("Ctrl+,",), "settings", _File, _W, Need.NOTHING),
    ActionSpec("quit", "Quit", ("Ctrl+Q",), "", _File, _W, Need.NOTHING),
    ActionSpec("commit", "Accept and next", ("Ctrl+Return", "Ctrl+Enter"), "check", _Decide, need=_IMAGE),
    ActionSpec(
        "commit_unchanged",
        "Accept an untouched mask and next",
        ("Return", "Enter"),
        "check",
        _Decide,
        _C,
        _IMAGE | Need.UNDRAFTED,
        tip="Works while nothing is drawn on this image",
        listed=False,
    ),
    ActionSpec(
        "next", "Next image", ("D",), "next", _Decide, need=Need.PROJECT, tip="No decision; what you drew is kept"
    ),
    ActionSpec(
        "previous", "Previous image", ("A",), "previous", _Decide, need=Need.PROJECT, tip="No decision; drafts are kept"
    ),
    ActionSpec("skip", "Skip", ("Ctrl+Space",), "skip", _Decide, need=_CHOSEN, tip="Ask again later"),
    ActionSpec(
        "exclude",
        "Exclude the image",
        ("Ctrl+Delete",),
        "exclude",
        _Decide,
        need=_CHOSEN | Need.NOT_EXCLUDED,
        tip="It is left out of everything until you restore it",
        short="Exclude",
    ),
    ActionSpec(
        "restore",
        "Restore the excluded image",
        ("Ctrl+Shift+Delete",),
        "restore",
        _Decide,
        need=_CHOSEN | Need.EXCLUDED,
        short="Restore",
    ),
    _tool("brush", "Brush", "B", "Paint the chosen class"),
    _tool("eraser", "Eraser", "E", "Paint background"),
    _tool("smart_brush", "Smart brush", "S", "Paint what looks like the middle of the brush, up to its edges"),
    _tool(
        "scribble",
        "Scribble to correct",
        "Q",
        "A stroke through what is missing; with Ctrl, through what is wrong; with Shift, also what looks like it",
    ),
    _tool("polygon_add", "Add a polygon", "P", "Click the corners, Return closes, Backspace drops one"),
    _tool("polygon_subtract", "Subtract a polygon", "Shift+P", "Click the corners, Return closes, Backspace drops one"),
    _tool("lasso", "Lasso", "L", "Encircle and fill; with Ctrl, clear"),
    _tool("bucket", "Bucket", "G", "Fill the hole or part you click on; with Ctrl, clear it"),
    _tool("wand", "Wand", "W", "Click what looks alike; drag for more or less of it"),
    _tool("box", "Object in a box", "R", "Drag a box around an object; with Ctrl, clear it"),
    _tool("restore_brush", "Paint the prediction back", "Shift+B", "Brings back what was predicted under the brush"),
    _tool("pan", "Pan", "H", "Drag the image; Space-drag works with every tool"),
    ActionSpec("swap", "Swap brush and eraser", ("X",), "swap", _Tools, need=_IMAGE),
    ActionSpec("smaller", "Smaller brush", ("[", ","), "smaller", _Tools, need=_IMAGE),
    ActionSpec("larger", "Larger brush", ("]", "."), "larger", _Tools, need=_IMAGE),
    ActionSpec("pick_class", "Pick the class under the cursor", ("K",), "pick-class", _Tools, need=_IMAGE),
    *(_class(value) for value in range(1, 10)),
    ActionSpec("undo", "Undo", ("Ctrl+Z",), "undo", _Mask, need=Need.PROJECT | Need.CAN_UNDO),
    ActionSpec("redo", "Redo", ("Ctrl+Shift+Z", "Ctrl+Y"), "redo", _Mask, need=_IMAGE | Need.CAN_REDO),
    ActionSpec("fill_holes", "Fill holes", ("Shift+H",), "fill-holes", _Mask, need=_IMAGE),
    ActionSpec("remove_specks", "Remove specks", ("Shift+R",), "specks", _Mask, need=_IMAGE),
    ActionSpec("smooth", "Smooth the outlines", ("Shift+S",), "smooth", _Mask, need=_IMAGE),
    ActionSpec(
        "snap", "Snap the outlines to edges", ("Shift+E",), "snap", _Mask, need=_IMAGE, tip="To the edges of the image"
    ),
    ActionSpec("invert", "Invert the mask", ("Ctrl+I",), "invert", _Mask, need=_IMAGE),
    ActionSpec("revert", "Revert to the prediction", ("Ctrl+R",), "revert", _Mask, need=_PREDICTED),
    ActionSpec(
        "copy_previous",
        "Copy the mask of the previous image",
        ("Ctrl+P",),
        "copy-previous",
        _Mask,
        need=_IMAGE,
        tip="Once; for frames that hardly differ",
    ),
    ActionSpec("next_part", "Next part of the mask", ("N",), "next-part", _View, need=_IMAGE),
    ActionSpec(
        "overlay", "Mask over the image", ("V",), "overlay", _View, need=_IMAGE, checkable=True, tip="Hold to peek"
    ),
    ActionSpec("style", "Fill or contour", ("C",), "style", _View, need=_IMAGE),
    ActionSpec("fainter", "Fainter mask", ("I",), "", _View, need=_IMAGE),
    ActionSpec("stronger", "Stronger mask", ("O",), "", _View, need=_IMAGE),
    ActionSpec(
        "compare", "Compare with the prediction", ("Tab",), "compare", _View, _C, _PREDICTED, held=True, tip="Hold"
    ),
    ActionSpec("side_by_side", "Compare side by side", ("Ctrl+B",), "side-by-side", _View, need=_IMAGE),
    ActionSpec("swipe", "Compare with a line to swipe", ("Ctrl+Shift+B",), "swipe", _View, need=_IMAGE),
    ActionSpec(
        "changed", "Show what the last round changed", ("Ctrl+Shift+L",), "changed", _View, tip="In the list of images"
    ),
    ActionSpec("report", "Report", ("Ctrl+Shift+R",), "report", _View, tip="Your labels beside the model's answers"),
    ActionSpec(
        "doubt",
        "Map of doubt",
        ("M",),
        "doubt",
        _View,
        need=_PREDICTED,
        checkable=True,
        tip="Where the model is torn",
    ),
    ActionSpec("fit", "Fit to the window", ("F",), "fit", _View, need=_IMAGE),
    ActionSpec("actual", "Actual size", ("Ctrl+0",), "actual", _View, need=_IMAGE),
    ActionSpec("zoom_in", "Zoom in", ("Ctrl++", "Ctrl+="), "zoom-in", _View, need=_IMAGE),
    ActionSpec("zoom_out", "Zoom out", ("Ctrl+-",), "zoom-out", _View, need=_IMAGE),
    ActionSpec("train", "Train now", ("Ctrl+T",), "play", _Model),
    ActionSpec("audit", "Audit accepted masks…", ("Ctrl+U",), "check", _Model, tip="Blind, drawn by a coin"),
    ActionSpec(
        "undo_threshold",
        "Undo the change of the threshold",
        (),
        "undo",
        _Model,
        need=Need.PROJECT | Need.THRESHOLD_CHANGED,
    ),
    ActionSpec("key_map", "Keys", ("F1", "?"), "keyboard", _Help, _W, Need.NOTHING, tip="See and change them"),
    ActionSpec(
        "palette", "Find a command…", ("Ctrl+Shift+P",), "palette", _Help, _W, Need.NOTHING, tip="Type what you want"
    ),
    ActionSpec("about", "About labeler", (), "info", _Help, _W, Need.NOTHING),
)


def changes_project(spec: ActionSpec) -> bool:
    """Whether an action has no place where a project is only looked at."""
    if spec.group in (_Decide, _Tools, _Mask, _Model):
        return spec.name not in ("next", "previous", "pan")
    return spec.name == "add_images"


def translated(text: str) -> str:
    """``text`` in the language of the window."""
    return QCoreApplication.translate("actions", text)


def key_text(spec: ActionSpec) -> str:
    """The keys of an action as this platform writes them."""
    native = QKeySequence.SequenceFormat.NativeText
    # The Enter of the number pad is no news to anybody.
    return ", ".join(QKeySequence(key).toString(native) for key in spec.keys if not key.endswith("Enter"))


def tooltip(spec: ActionSpec, text: str = "") -> str:
    """Plain text of a tooltip: what, how, and the first key in brackets."""
    first = key_text(spec).split(", ")[0] if spec.keys else ""
    title = (text or translated(spec.text)).rstrip("…") + (f" ({first})" if first else "")
    return f"{title}\n{translated(spec.tip)}" if spec.tip else title


def portable(key: str) -> str:
    """A key in the one notation that is compared; "" for what is no key."""
    return QKeySequence(key).toString(QKeySequence.SequenceFormat.PortableText)


def build(parent: QObject, specs: tuple[ActionSpec, ...] = ACTIONS) -> dict[str, QAction]:
    """One QAction a row, named, with icon, keys and tooltip; nothing is connected yet."""
    built: dict[str, QAction] = {}
    for spec in specs:
        action = QAction(translated(spec.text), parent)
        action.setObjectName(spec.name)
        action.setProperty("keys", list(spec.keys))  # those that are held are no shortcuts, but have keys
        action.setToolTip(tooltip(spec))
        action.setIconText(translated(spec.short or spec.text))
        action.setCheckable(spec.checkable)
        action.setAutoRepeat(spec.name in _REPEATED)
        if not spec.held:
            action.setShortcuts([QKeySequence(key) for key in spec.keys])
            here = spec.scope is Scope.CANVAS
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut if here else Qt.ShortcutContext.WindowShortcut)
        if spec.icon:
            dress(action, spec.icon)
        built[spec.name] = action
    return built


def held_key(action: QAction) -> Qt.Key:
    """The key of an action that is held; Key_unknown where it has none."""
    keys = keys_pressed(action.property("keys") or [])
    return keys[0] if keys else Qt.Key.Key_unknown


def keys_pressed(keys: Iterable[str]) -> list[Qt.Key]:
    """The keys themselves, without what is held with them."""
    return [QKeySequence(key)[0].key() for key in keys]  # type: ignore[index]  # the stubs do not know it


def keys_of(action: QAction) -> str:
    """The keys of an action as this platform writes them; "–" for none."""
    native = QKeySequence.SequenceFormat.NativeText
    return ", ".join(QKeySequence(key).toString(native) for key in action.property("keys") or []) or "–"


# Keys that may be held down to go on; all others act once a press.
_REPEATED = frozenset({"smaller", "larger", "next_part", "fainter", "stronger", "undo", "redo", "zoom_in", "zoom_out"})


def clashes(specs: tuple[ActionSpec, ...] = ACTIONS) -> list[tuple[str, str, str]]:
    """Pairs of actions that share a key where both work, as (key, one, other)."""
    taken: dict[str, ActionSpec] = {}
    found = []
    for spec in specs:
        for key in map(portable, spec.keys):
            # All scopes overlap on the canvas of an open project: a key must be free in every one of them.
            if key in taken:
                found.append((key, taken[key].name, spec.name))
            taken[key] = spec
    return found
