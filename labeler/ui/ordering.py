"""The box above the queue: by which acquisition function it is sorted."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QWidget

from labeler.ui.controls import Choice


class OrderBox(Choice):
    """Shows the order of the settings; a person's choice is asked for and shown when the settings have it."""

    order_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("", parent, least=4)
        self.name_it(self.tr("Sort the queue"), self.tr("Which waiting image comes first"))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click must not take the focus from the canvas
        for name, text, why in self._orders():
            self.addItem(text, name)
            self.setItemData(self.count() - 1, why, Qt.ItemDataRole.ToolTipRole)
        self.activated.connect(lambda: self.order_requested.emit(self.currentData()))

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()  # it is the list below that a person means to scroll

    def show_order(self, name: str) -> None:
        """Show the order that is in use."""
        self.setCurrentIndex(self.findData(name))

    def _orders(self) -> tuple[tuple[str, str, str], ...]:
        """Name in the settings, text and explanation of each."""
        return (
            ("informative", self.tr("Most informative"), self.tr("Likely wrong, and unlike what is labelled")),
            ("confidence", self.tr("Least confident"), self.tr("Lowest predicted IoU")),
            ("margin", self.tr("Smallest margin"), self.tr("Probabilities along the edge near one half")),
            ("entropy", self.tr("Highest entropy"), self.tr("Most uncertain edge")),
            ("disagreement", self.tr("Models disagree"), self.tr("Masks that the last round has changed most")),
            ("coreset", self.tr("Most different"), self.tr("Farthest from all that is labelled")),
            ("random", self.tr("By lot"), self.tr("Random, and always the same")),
            ("streamed", self.tr("As they came"), self.tr("Oldest first")),
        )
