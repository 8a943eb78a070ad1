"""The key map: every key, made from the table of actions, and changed in place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QKeySequenceEdit,
    QLineEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from labeler.ui.actions import ACTIONS, GESTURES, ActionSpec, key_text, portable, translated
from labeler.ui.controls import PlainLabel, label
from labeler.ui.keymap import changes, in_force, refusal
from labeler.ui.theme import XL, XS, L, M, S, theme


class KeyRow:
    """One action: its name, the field of its first key, and its other keys in words."""

    def __init__(self, spec: ActionSpec, text: str, parent: QWidget) -> None:
        self.spec = spec
        self.name = label(text)
        self.edit = QKeySequenceEdit(QKeySequence(spec.keys[0] if spec.keys else ""), parent)
        self.edit.setMaximumSequenceLength(1)
        self.edit.setClearButtonEnabled(True)
        self.edit.setAccessibleName(text)
        for field in self.edit.findChildren(QLineEdit):
            field.setAccessibleName(text)
        self.more = label("", "caption")
        self.name.setBuddy(self.edit)
        self.show_spec(spec)

    def show_spec(self, spec: ActionSpec) -> None:
        """The keys in force."""
        self.spec = spec
        first = QKeySequence(spec.keys[0] if spec.keys else "")
        if self.edit.keySequence() != first:
            self.edit.blockSignals(True)
            self.edit.setKeySequence(first)
            self.edit.blockSignals(False)
        others = key_text(replace(spec, keys=spec.keys[1:]))
        self.more.setText(others)

    def pass_filter(self, wanted: str) -> bool:
        """Show or hide the row."""
        there = wanted in self.name.text().casefold() or wanted in key_text(self.spec).casefold()
        for part in (self.name, self.edit, self.more):
            part.setVisible(there)
        return there


class KeyMapDialog(QDialog):
    """Every key; a click into a field and a key press change it, unless another action has that key."""

    keys_changed = Signal(object)  # dict of the actions whose keys differ from the table

    def __init__(self, keys: Mapping[str, tuple[str, ...]] | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Keys"))
        self._specs = {spec.name: spec for spec in in_force(keys or {})}
        self.rows: dict[str, KeyRow] = {}
        self._sections: list[tuple[PlainLabel, list[KeyRow]]] = []
        self.search = QLineEdit()
        self.search.setPlaceholderText(self.tr("Find an action or a key"))
        self.search.setAccessibleName(self.tr("Find an action or a key"))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._filter)
        self.said = label(self.tr("Click a field and press the new key."), "caption", wraps=True)
        self._gestures = label(self._gesture_text(), "caption", wraps=True)
        self._lay_out()
        self.resize(min(theme.px(640), 1240), min(theme.px(660), 720))

    def _gesture_text(self) -> str:
        return "  ·  ".join(f"{translated(text)}: {translated(how)}" for text, how in GESTURES)

    def _lay_out(self) -> None:
        page = QWidget()
        grid = QGridLayout(page)
        grid.setContentsMargins(XL, S, XL, L)
        grid.setHorizontalSpacing(L)
        grid.setVerticalSpacing(XS)
        grid.setColumnStretch(0, 1)
        self._fill(grid)
        area = QScrollArea()
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setWidget(page)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.reset = buttons.addButton(self.tr("Put all keys back"), QDialogButtonBox.ButtonRole.ResetRole)
        self.reset.setAutoDefault(False)
        self.reset.clicked.connect(self._put_back)
        self.reset.setEnabled(bool(changes(self._specs.values())))
        buttons.rejected.connect(self.reject)
        head = QVBoxLayout()
        head.setContentsMargins(XL, L, XL, 0)
        head.setSpacing(S)
        head.addWidget(self.search)
        head.addWidget(self.said)
        foot = QHBoxLayout()
        foot.setContentsMargins(XL, 0, L, L)
        foot.addWidget(self._gestures, 1)
        foot.addWidget(buttons)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(M)
        layout.addLayout(head)
        layout.addWidget(area, 1)
        layout.addLayout(foot)

    def _fill(self, grid: QGridLayout) -> None:
        groups: dict[str, list[ActionSpec]] = {}
        for spec in self._specs.values():
            groups.setdefault(spec.group, []).append(spec)
        line = 0
        for group, specs in groups.items():
            title = label(translated(group), "section")
            grid.addWidget(title, line, 0, 1, 3, Qt.AlignmentFlag.AlignBottom)
            grid.setRowMinimumHeight(line, theme.px(XL))
            rows = []
            for spec in specs:
                line += 1
                rows.append(self._row(spec, grid, line))
            self._sections.append((title, rows))
            line += 1
        grid.setRowStretch(line, 1)

    def _row(self, spec: ActionSpec, grid: QGridLayout, line: int) -> KeyRow:
        text = translated(spec.text).rstrip("…")
        made = self.rows[spec.name] = KeyRow(spec, self.tr("{} (hold)").format(text) if spec.held else text, self)
        for column, part in enumerate((made.name, made.edit, made.more)):
            grid.addWidget(part, line, column)
        made.edit.setMinimumWidth(theme.px(190))
        made.edit.keySequenceChanged.connect(lambda sequence, name=spec.name: self._take(name, sequence))
        return made

    def _filter(self, text: str) -> None:
        wanted = text.strip().casefold()
        for title, rows in self._sections:
            shown = [row.pass_filter(wanted) for row in rows]
            title.setVisible(any(shown))

    def _take(self, name: str, sequence: QKeySequence) -> None:
        spec, key = self._specs[name], sequence.toString(QKeySequence.SequenceFormat.PortableText)
        if key == (portable(spec.keys[0]) if spec.keys else ""):
            return
        why = refusal(key, name, self._specs.values()) if key else None
        if why is not None:
            shown = sequence.toString(QKeySequence.SequenceFormat.NativeText)
            if isinstance(why, str):
                self.said.setText(self.tr("{} belongs to the canvas. Choose another key.").format(shown))
            else:
                taken = translated(why.text).rstrip("…")
                self.said.setText(
                    self.tr("{} is the key of “{}”. Choose another, or change that one first.").format(shown, taken)
                )
            self.rows[name].show_spec(spec)
            return
        rest = tuple(other for other in spec.keys[1:] if portable(other) != key)
        self._specs[name] = replace(spec, keys=((key,) if key else ()) + rest)
        self.rows[name].show_spec(self._specs[name])
        self._tell(self.tr("{}: {}").format(translated(spec.text).rstrip("…"), key_text(self._specs[name]) or "–"))

    def _put_back(self) -> None:
        for spec in ACTIONS:
            self._specs[spec.name] = spec
            self.rows[spec.name].show_spec(spec)
        self._tell(self.tr("All keys are as they were at first."))

    def _tell(self, sentence: str) -> None:
        self.said.setText(sentence)
        changed = changes(self._specs.values())
        self.reset.setEnabled(bool(changed))
        self.keys_changed.emit(changed)
