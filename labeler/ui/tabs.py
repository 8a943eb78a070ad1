"""Tabs whose words are never cut: where they do not fit, icons take their place."""

from __future__ import annotations

from collections.abc import Collection

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QIcon, QResizeEvent
from PySide6.QtWidgets import QTabBar, QTabWidget, QWidget

from labeler.ui.theme import follow, icon, theme


class _Bar(QTabBar):
    """Knows the word and the icon of each tab; shows what fits."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[tuple[str, str]] = []  # word, icon
        self.counts: dict[int, str] = {}
        self._shown: tuple[object, ...] = ()
        self.setDrawBase(False)
        self.setExpanding(False)
        self.setElideMode(Qt.TextElideMode.ElideNone)
        self.setUsesScrollButtons(False)

    def fit(self, width: int) -> None:
        """All words where they fit into ``width`` pixels, else icons and the word of the chosen tab, else icons."""
        wanted = (width, self.currentIndex(), theme.colours, theme.scale, self.count(), *self.counts.values())
        if wanted == self._shown:
            return
        self._shown = wanted
        for worded in (range(self.count()), [self.currentIndex()], []):
            self._dress(worded)
            if sum(self.tabSizeHint(at).width() for at in range(self.count())) <= width:
                break

    def forget(self) -> None:
        """The font has changed: what fitted may no longer."""
        self._shown = ()

    def _dress(self, worded: Collection[int]) -> None:
        """Words on these tabs, icons on the others."""
        self.setIconSize(theme.icon_size() * 0.8)
        for at, (word, drawn) in enumerate(self.names):
            parts = (word if at in worded else "", self.counts.get(at, ""))
            self.setTabText(at, "  ".join(filter(None, parts)))
            colour = theme.colours.accent if at == self.currentIndex() else theme.colours.muted
            self.setTabIcon(at, QIcon() if at in worded else icon(drawn, colour=colour))


class FittingTabs(QTabWidget):
    """Pages under such tabs."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bar = _Bar()
        self.setTabBar(self.bar)
        self.setDocumentMode(True)
        self.setAccessibleName(name)
        self.bar.setAccessibleName(name)
        self.currentChanged.connect(lambda _: self._fit())
        follow(self, FittingTabs._fit)

    def add(self, page: QWidget, word: str, drawn: str) -> None:
        """One more page; its tab keeps the word as tooltip and for screen readers, whatever is shown."""
        self.bar.names.append((word, drawn))
        at = self.addTab(page, word)
        self.setTabToolTip(at, word)
        self.bar.setAccessibleTabName(at, word)
        self._fit()

    def show_count(self, at: int, count: int) -> None:
        """A number beside the word, or beside the icon."""
        self.bar.counts[at] = f"{count:,}"
        word = self.bar.names[at][0]
        self.bar.setAccessibleTabName(at, f"{word}, {count:,}")
        self._fit()

    def _fit(self) -> None:
        self.bar.fit(self.width())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.FontChange):
            self.bar.forget()
            self._fit()
