"""A dialog made from the settings tables: every field gets a control, its description and its limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MultipleOf
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFrame,
    QGridLayout,
    QLineEdit,
    QScrollArea,
    QSpinBox,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from labeler.settings import Preferences, Settings, first_fault
from labeler.ui.controls import Choice, inset, label, plain_tabs
from labeler.ui.theme import L, M, S, theme
from labeler.ui.told import told

_WIDEST = 1_000_000_000


_TITLES = {
    "lr": "Learning rate",
    "ui_scale": "Text size",
    "first_labels": "First model after",
    "retrain_labels": "Retrain after",
    "retrain_share": "Retrain share",
    "debounce_s": "Wait before a round",
    "holdout_every": "Holdout every",
    "base_width": "Width of the network",
    "invert": "Train inverted too",
    "dihedral": "Train turned and mirrored",
    "memory_mb": "Memory",
    "overlay": "Mask drawn as",
    "keep_view": "Keep zoom and place",
}
_CHOICES = {"cpu": "CPU", "cuda": "CUDA", "mps": "MPS", "en": "English", "de": "Deutsch"}


def title_of(name: str) -> str:
    """A field's name in words."""
    return _tr(_TITLES.get(name, name.replace("_", " ").capitalize()))


def choice_of(value: object) -> str:
    """One of a setting's values in words; languages stay in their own."""
    return _CHOICES.get(str(value)) or _tr(str(value).capitalize())


def _tr(text: str) -> str:
    return QCoreApplication.translate("settings", text)


def _limits(info: FieldInfo) -> tuple[float | None, float | None, float | None]:
    low: Any = None
    high: Any = None
    step: Any = None
    for rule in info.metadata:  # annotated_types speaks of protocols; the tables have numbers
        if isinstance(rule, Ge | Gt):
            low = rule.ge if isinstance(rule, Ge) else rule.gt
        elif isinstance(rule, Le | Lt):
            high = rule.le if isinstance(rule, Le) else rule.lt
        elif isinstance(rule, MultipleOf):
            step = rule.multiple_of
    return low, high, step


class Field:
    """One setting and the control that edits it."""

    def __init__(self, name: str, info: FieldInfo, value: Any) -> None:
        self.name, self.info = name, info
        self.control = self._control(value)
        self.control.setObjectName(name)
        self.control.setAccessibleName(title_of(name))
        self.control.setAccessibleDescription(self.description)
        if isinstance(self.control, Choice):
            self.control.name_it(title_of(name), self.description)
        else:
            self.control.setToolTip(self.description)

    @property
    def description(self) -> str:
        """What the setting means."""
        return _tr(self.info.description) if self.info.description else ""

    def _control(self, value: Any) -> QWidget:
        kind = self.info.annotation
        if kind is bool:
            box = QCheckBox()
            box.setChecked(value)
            return box
        if get_origin(kind) is Literal:
            combo = Choice(title_of(self.name))
            for choice in get_args(kind):
                combo.addItem(choice_of(choice), choice)
            combo.setCurrentIndex(combo.findData(value))
            return combo
        if kind is int:
            low, high, step = _limits(self.info)
            spin = QSpinBox(minimum=int(low or 0), maximum=int(_WIDEST if high is None else high))
            spin.setSingleStep(int(step or 1))
            spin.setGroupSeparatorShown(True)
            spin.setValue(value)
            return inset(spin)
        if kind is float:
            low, high, _ = _limits(self.info)
            decimals = 4 if (high or 1) <= 1 else 2 if (high or 1) <= 2 else 1  # shares are typed most exactly
            number = QDoubleSpinBox(
                decimals=decimals, minimum=low or 0.0, maximum=float(_WIDEST if high is None else high)
            )
            number.setSingleStep(0.05 if decimals > 1 else 1.0)
            number.setValue(value)
            return inset(number)
        line = QLineEdit(", ".join(value))
        line.setPlaceholderText("#E69F00, #56B4E9" if self.name == "colours" else "cell, nucleus")
        return line

    @property
    def value(self) -> Any:
        """What the control says, in the field's type."""
        control = self.control
        if isinstance(control, QCheckBox):
            return control.isChecked()
        if isinstance(control, QComboBox):
            return control.currentData()
        if isinstance(control, QSpinBox | QDoubleSpinBox):
            return control.value()
        assert isinstance(control, QLineEdit)
        return tuple(part.strip() for part in control.text().split(",") if part.strip())


class TableForm(QWidget):
    """All fields of one table that have a group, a section a group."""

    def __init__(self, table: BaseModel) -> None:
        super().__init__()
        self._table = table
        self.fields: dict[str, Field] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(L, M, L, L)
        grid.setHorizontalSpacing(L)
        grid.setVerticalSpacing(S)
        grid.setColumnStretch(2, 1)
        row, shown = 0, ""
        for name, info in type(table).model_fields.items():
            extra = info.json_schema_extra
            if not isinstance(extra, dict):  # kept by the program, not for a person
                continue
            if extra["group"] != shown:
                shown = str(extra["group"])
                grid.setRowMinimumHeight(row, L)
                grid.addWidget(label(_tr(shown), "section"), row, 0, 1, 3, Qt.AlignmentFlag.AlignBottom)
                row += 1
            field = Field(name, info, getattr(table, name))
            title = label(title_of(name))
            title.setBuddy(field.control)
            grid.addWidget(title, row, 0, Qt.AlignmentFlag.AlignVCenter)
            grid.addWidget(field.control, row, 1, Qt.AlignmentFlag.AlignVCenter)
            grid.addWidget(label(field.description, "caption", wraps=True), row, 2)
            self.fields[name] = field
            row += 1
        grid.setRowStretch(row, 1)

    def table(self) -> Any:
        """The table with the values of the controls. pydantic's ValidationError if one is refused."""
        typed = {name: field.value for name, field in self.fields.items()}
        # A spin box rounds; a value that nobody touched must come back as it was.
        for name, field in self.fields.items():
            before = getattr(self._table, name)
            if isinstance(before, float) and field.value == Field(name, field.info, before).value:
                typed[name] = before
        return type(self._table).model_validate({**self._table.model_dump(), **typed})


class SettingsDialog(QDialog):
    """Settings of the project and preferences of the person; what was typed stays until it is valid and kept."""

    preferences_accepted = Signal(object)

    def __init__(
        self,
        settings: Settings | None,
        preferences: Preferences,
        keep: Callable[[Settings], str],
        parent: QWidget | None = None,
    ) -> None:
        """``keep`` keeps changed settings of the project, or gives the sentence that speaks against it."""
        super().__init__(parent)
        self.setWindowTitle(self.tr("Settings"))
        self._settings, self._preferences = settings, preferences
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        plain_tabs(self.tabs)
        self.tabs.setAccessibleName(self.tr("Settings"))
        self.project = TableForm(settings) if settings is not None else None
        self.person = TableForm(preferences)
        if self.project is not None:
            self.tabs.addTab(_scrolled(self.project), self.tr("This project"))
        self.tabs.addTab(_scrolled(self.person), self.tr("Window"))
        self._keep = keep
        self.refusal = label("", "strong", wraps=True)
        self.refusal.hide()
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel)
        buttons.button(QDialogButtonBox.StandardButton.Save).setProperty("role", "primary")
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        foot = QVBoxLayout()
        foot.setContentsMargins(L, 0, L, L)
        foot.addWidget(self.refusal)
        foot.addWidget(buttons)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, S, 0, 0)
        layout.setSpacing(S)
        layout.addWidget(self.tabs)
        layout.addLayout(foot)
        self.resize(min(theme.px(720), 1200), min(theme.px(600), 720))

    def accept(self) -> None:
        """Validate both tables; stay open with the reason if one is refused."""
        try:
            settings = self.project.table() if self.project is not None else None
            preferences = self.person.table()
        except ValidationError as error:
            name, why = first_fault(error)
            self._refuse(f"{title_of(name.split('.')[0])}: {told(why)}")
            return
        if settings is not None and settings != self._settings and (why := self._keep(settings)):
            self._refuse(why)
            return
        if preferences != self._preferences:
            self.preferences_accepted.emit(preferences)
        super().accept()

    def _refuse(self, why: str) -> None:
        self.refusal.setText(why)
        self.refusal.show()


def _scrolled(form: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(form)
    return area
