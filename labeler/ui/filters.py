"""The head of the gallery: find by name, filter, sort. It holds what was chosen and tells when that changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from labeler.records import ImageState
from labeler.ui.columns import Filter, Order
from labeler.ui.controls import Choice, inset, label
from labeler.ui.theme import XS, S, dress, follow, theme
from labeler.ui.wording import state_name

_SETTLE_MS = 150  # letters that are typed together are looked for together
_DAYS = (1, 7, 30)
_IOUS = (0.95, 0.9, 0.8, 0.5)


class FilterBar(QWidget):
    """Find, state and order are always there; the rest folds out."""

    changed = Signal()

    def __init__(self, read_changed: Callable[[], frozenset[int]], parent: QWidget | None = None) -> None:
        """``read_changed`` gives the images that the last round changed, when they are asked for."""
        super().__init__(parent)
        self._read_changed = read_changed
        self.search = QLineEdit(self)
        self.search.setPlaceholderText(self.tr("Find by name"))
        self.search.setAccessibleName(self.tr("Find by name"))
        self.search.setClearButtonEnabled(True)
        self.state = self._box(self.tr("Show images in this state"), [(self.tr("All states"), None), *_states()])
        self.order = self._box(self.tr("Sort images"), self._orders())
        self.more = QToolButton(self)
        self.more.setCheckable(True)
        self.more.setText(self.tr("Filters"))
        self.more.setAccessibleName(self.tr("More filters"))
        self.more.setToolTip(self.tr("Filter by model, confidence, class, disagreement and date"))
        dress(self.more, "filter")
        follow(self.more, lambda button: button.setIconSize(theme.icon_size() * 0.8))
        self._fields()
        self._typing = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._typing.timeout.connect(self.changed)
        self._lay_out()
        self._listen()
        self.offer(versions=(), classes=())

    def _orders(self) -> list[tuple[str, Any]]:
        return [
            (self.tr("As they came"), Order.STREAM),
            (self.tr("Unsure first"), Order.UNSURE_FIRST),
            (self.tr("Sure first"), Order.SURE_FIRST),
            (self.tr("By name"), Order.NAME),
            (self.tr("By state"), Order.STATE),
            (self.tr("Newest first"), Order.NEWEST_FIRST),
            (self.tr("Worst predicted first"), Order.WORST_FIRST),
        ]

    def _fields(self) -> None:
        self.version = self._box(self.tr("Predicted by this model"), [])
        self.class_value = self._box(self.tr("Holding this class"), [])
        self.iou = self._box(
            self.tr("How far prediction and label agree"),
            [
                (self.tr("Any"), None),
                *((self.tr("IoU below {:.2f}").format(limit), limit) for limit in _IOUS),
            ],
        )
        names = (self.tr("Last 24 hours"), self.tr("Last 7 days"), self.tr("Last 30 days"))
        self.days = self._box(
            self.tr("When it was labelled, or its file written"),
            [(self.tr("Any time"), None), *zip(names, _DAYS, strict=True)],
        )
        self.low, self.high = (
            self._limit(self.tr("Lowest confidence"), 0.0),
            self._limit(self.tr("Highest confidence"), 1.0),
        )
        self.round = QCheckBox(self.tr("Changed by it"))
        self.round.setAccessibleName(self.tr("Only what the last published model changed"))
        self.picked = QCheckBox()
        self.picked.setAccessibleName(self.tr("Only the images of a point of a plot"))
        self._picked: frozenset[int] = frozenset()
        self.picked.hide()
        self.clear = QPushButton(self.tr("Clear the filters"))
        self.clear.setAccessibleName(self.tr("Clear the filters"))

    def _box(self, name: str, choices: Sequence[tuple[str, Any]]) -> QComboBox:
        box = Choice(name, self, least=4)
        for text, value in choices:
            box.addItem(text, value)
        return box

    def _limit(self, name: str, value: float) -> QDoubleSpinBox:
        spin = inset(QDoubleSpinBox(self, decimals=2, minimum=0.0, maximum=1.0, singleStep=0.05, value=value))
        spin.setAccessibleName(name)
        spin.setToolTip(name)
        spin.setKeyboardTracking(False)
        follow(spin, lambda widget: widget.setMinimumWidth(theme.px(54)))
        return spin

    def _lay_out(self) -> None:
        find = QHBoxLayout()
        find.setSpacing(XS)
        find.addWidget(self.search, 1)
        find.addWidget(self.more)
        limits = QHBoxLayout()
        limits.setSpacing(XS)
        limits.addWidget(self.low, 1)
        limits.addWidget(label("–"))
        limits.addWidget(self.high, 1)
        fields = QWidget()
        form = QFormLayout(fields)
        form.setContentsMargins(0, 0, 0, XS)
        form.setHorizontalSpacing(S)
        form.setVerticalSpacing(XS)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for text, field in (
            (self.tr("Model"), self.version),
            (self.tr("Confidence"), limits),
            (self.tr("Class"), self.class_value),
            (self.tr("Agreement"), self.iou),
            (self.tr("Date"), self.days),
        ):
            caption = label(text, "caption")
            caption.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
            form.addRow(caption, field)
        form.addRow(label(self.tr("Last round"), "caption"), self.round)
        form.addRow(self.picked)
        form.addRow(self.clear)
        # Large text on a low screen: the filters scroll rather than push the window apart.
        self.panel = _Scrolled(fields, self)
        self.panel.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(S, S, S, 0)
        layout.setSpacing(XS)
        layout.addLayout(find)
        layout.addWidget(self.state)
        layout.addWidget(self.order)
        layout.addWidget(self.panel)

    def _listen(self) -> None:
        self.more.toggled.connect(self.panel.setVisible)
        self.search.textChanged.connect(lambda: self._typing.start())
        for box in (self.state, self.order, self.version, self.class_value, self.iou, self.days):
            box.currentIndexChanged.connect(lambda: self._tell())
        for spin in (self.low, self.high):
            spin.valueChanged.connect(lambda: self._tell())
        for check in (self.round, self.picked):
            check.toggled.connect(lambda: self._tell())
        self.clear.clicked.connect(self.reset)

    def _tell(self) -> None:
        narrow = self.wanted().is_narrow
        self.clear.setEnabled(narrow)
        # Folded in, it must still be seen that not everything is shown.
        self.more.setToolButtonStyle(
            Qt.ToolButtonStyle.ToolButtonTextBesideIcon if narrow else Qt.ToolButtonStyle.ToolButtonIconOnly
        )
        self.changed.emit()

    def offer(self, *, versions: Sequence[int], classes: Sequence[str]) -> None:
        """What can be chosen in this project; a choice that is still there stays."""
        models = [(self.tr("Any"), None), *((self.tr("v{}").format(number), number) for number in reversed(versions))]
        named = [(self.tr("Any"), None), (self.tr("Nothing on it"), 0), *((n, v) for v, n in enumerate(classes, 1))]
        for box, choices in ((self.version, models), (self.class_value, named)):
            chosen = box.currentData()
            if [box.itemText(at) for at in range(box.count())] == [text for text, _ in choices]:
                continue
            box.blockSignals(True)
            box.clear()
            for text, value in choices:
                box.addItem(text, value)
            box.setCurrentIndex(max(0, box.findData(chosen)))
            box.blockSignals(False)
        self.clear.setEnabled(self.wanted().is_narrow)

    def wanted(self) -> Filter:
        """What was chosen."""
        state = self.state.currentData()  # Qt gives a plain string back
        return Filter(
            text=self.search.text().strip(),
            state=ImageState(state) if state else None,
            version=self.version.currentData(),
            confidence=(round(self.low.value(), 2), round(self.high.value(), 2)),
            class_value=self.class_value.currentData(),
            iou_below=self.iou.currentData(),
            days=self.days.currentData(),
            only=self._only(),
        )

    def _only(self) -> frozenset[int] | None:
        chosen = [self._picked] if self.picked.isChecked() else []
        if self.round.isChecked():
            chosen.append(self._read_changed())
        return frozenset.intersection(*chosen) if chosen else None

    def chosen_order(self) -> Order:
        """How to sort."""
        return Order(self.order.currentData())

    def reset(self) -> None:
        """Show everything again."""
        self.blockSignals(True)
        self.search.clear()
        for box in (self.state, self.version, self.class_value, self.iou, self.days):
            box.setCurrentIndex(0)
        self.low.setValue(0.0)
        self.high.setValue(1.0)
        self.round.setChecked(False)
        self.picked.setChecked(False)
        self.picked.hide()
        self._typing.stop()
        self.blockSignals(False)
        self._tell()

    def show_changed(self) -> None:
        """Show what the last published model changed."""
        self.reset()
        self.more.setChecked(True)
        self.round.setChecked(True)

    def show_confidences(self, low: float, high: float) -> None:
        """Show the images with a confidence from ``low`` to ``high``."""
        self.reset()
        self.more.setChecked(True)
        self.low.setValue(low)
        self.high.setValue(high)

    def show_picked(self, image_ids: frozenset[int], name: str) -> None:
        """Show these images; ``name`` says which they are, beside what lets go of them."""
        self.reset()
        self.more.setChecked(True)
        self._picked = image_ids
        self.picked.setText(name)
        self.picked.setAccessibleName(name)
        self.picked.show()
        self.picked.setChecked(True)


class _Scrolled(QScrollArea):
    """As high as its content where there is room."""

    def __init__(self, content: QWidget, parent: QWidget) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._content = content
        self.setWidget(content)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)

    def sizeHint(self) -> QSize:
        return self._content.sizeHint()

    def minimumSizeHint(self) -> QSize:
        return QSize(0, theme.px(64))


def _states() -> list[tuple[str, Any]]:
    return [(state_name(state), state) for state in ImageState]
