"""The keys in force: those of the table, with a person's own in their place. Nothing here can take a key twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from PySide6.QtGui import QAction, QKeySequence

from labeler.ui.actions import ACTIONS, ActionSpec, portable, tooltip

# The canvas acts on these itself; a shortcut would take them away from it.
RESERVED = frozenset({"Space", "Esc", "Backspace"})

Keys = Mapping[str, tuple[str, ...]]


def in_force(changed: Keys) -> tuple[ActionSpec, ...]:
    """The table with the keys that a person has chosen; what is unknown, unreadable or taken already is left out."""
    specs = {spec.name: spec for spec in ACTIONS}
    for name in changed:
        if name in specs:
            # Without its own keys, so that two actions may have swapped theirs.
            specs[name] = replace(specs[name], keys=())
    for name, keys in changed.items():
        if name in specs:
            free = [key for key in keys if portable(key) and holder(key, specs.values()) is None]
            specs[name] = replace(specs[name], keys=tuple(free))
    return tuple(specs.values())


def holder(key: str, specs: Iterable[ActionSpec], *, but: str = "") -> ActionSpec | None:
    """The action that has this key already, except ``but``. All scopes overlap on the canvas of an open project."""
    wanted = portable(key)
    return next((spec for spec in specs if spec.name != but and wanted in map(portable, spec.keys)), None)


def refusal(key: str, name: str, specs: Iterable[ActionSpec]) -> ActionSpec | str | None:
    """Why an action cannot have this key: the action that has it, or the reserved key's name; None where it can."""
    if portable(key) in RESERVED:
        return portable(key)
    return holder(key, specs, but=name)


def changes(specs: Iterable[ActionSpec]) -> dict[str, tuple[str, ...]]:
    """What differs from the table, to be kept in the preferences."""
    table = {spec.name: spec.keys for spec in ACTIONS}
    return {spec.name: spec.keys for spec in specs if spec.keys != table[spec.name]}


def rekey(actions: Mapping[str, QAction], specs: Iterable[ActionSpec]) -> None:
    """Give live actions the keys of ``specs``."""
    specs = tuple(specs)
    for spec in specs:  # first let go of all: Qt would call a key ambiguous for a moment
        actions[spec.name].setShortcuts([])
    for spec in specs:
        action = actions[spec.name]
        if not spec.held:
            action.setShortcuts([QKeySequence(key) for key in spec.keys])
        action.setProperty("keys", list(spec.keys))
        action.setToolTip(tooltip(spec))
