"""The style sheet, made from a palette, a type scale and a way to scale lengths."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from string import Template

_SHEET = Template("""
QMainWindow, QDialog { background: $window; }
QToolTip { background: $surface; color: $text; border: 1px solid $border; padding: ${p4}px ${p8}px; }
QLabel { background: transparent; }
QDialogButtonBox { dialogbuttonbox-buttons-have-icons: 0; }
QLabel[role="caption"] { font-size: ${caption}px; color: $muted; }
QLabel[role="strong"] { font-weight: 600; }
QLabel[role="section"] { font-size: ${caption}px; font-weight: 600; color: $muted; }
QLabel[role="title"] { font-size: ${title}px; font-weight: 600; }
QLabel[role="figure"] { font-size: ${figure}px; font-weight: 600; }
QLabel[role="display"] { font-size: ${display}px; font-weight: 600; }
QLabel[role="muted"] { color: $muted; }

QFrame[role="card"] { background: $surface; border: 1px solid $border; border-radius: ${p8}px; }
QFrame[role="side"] { background: $window; border: none; }
QFrame[role="bar"] { background: $window; border: none; }
QFrame[role="strip"] { background: $window; border: none; border-top: 1px solid $border; }
QFrame[role="banner"] { background: $surface; border: 1px solid $bad; border-left: ${p4}px solid $bad;
  border-radius: ${p4}px; }
QFrame[role="toast"] { background: $text; border-radius: ${p8}px; }
QFrame[role="toast"] QLabel { color: $window; }
QFrame[role="line"] { background: $border; border: none; }

QPushButton { background: $surface; border: 1px solid $border; border-radius: ${p6}px;
  padding: ${p6}px ${p12}px; color: $text; }
QPushButton:hover { background: $hover; }
QPushButton:pressed { background: $sunken; }
QPushButton:focus { border: 1px solid $accent; }
QPushButton:disabled { color: $muted; background: $window; }
QPushButton[role="primary"] { background: $accent; border: 1px solid $accent; color: $on_accent; font-weight: 600; }
QPushButton[role="primary"]:hover { background: $text; border-color: $text; color: $window; }
QPushButton[role="primary"]:focus { border: 1px solid $text; }
QPushButton[role="primary"]:disabled { background: $sunken; border-color: $border; color: $muted; }
QPushButton[role="quiet"] { background: transparent; border: 1px solid transparent; padding: ${p4}px ${p8}px; }
QPushButton[role="quiet"]:hover { background: $hover; }
QPushButton[role="quiet"]:focus { border: 1px solid $accent; }
QPushButton[role="recent"] { background: transparent; border: 1px solid transparent; text-align: left;
  padding: ${p6}px ${p8}px; }
QPushButton[role="recent"]:hover { background: $hover; }
QPushButton[role="recent"]:focus { border: 1px solid $accent; }
QPushButton[role="entry"] { background: $surface; border: 1px solid $border; border-radius: ${p8}px; text-align: left;
  padding: ${p16}px; }
QPushButton[role="entry"]:hover { border-color: $accent; background: $hover; }
QPushButton[role="entry"]:focus { border: 1px solid $accent; }

QToolButton { background: transparent; border: 1px solid transparent; border-radius: ${p6}px; padding: ${p4}px; }
QToolButton:hover { background: $hover; }
QToolButton:pressed { background: $sunken; }
QToolButton:checked { background: $accent_soft; border: 1px solid $accent; }
QToolButton:focus { border: 1px solid $accent; }

QLineEdit, QPlainTextEdit, QTextEdit { background: $surface; color: $text;
  border: 1px solid $border; border-radius: ${p6}px; padding: ${p4}px ${p6}px;
  selection-background-color: $accent; selection-color: $on_accent; }
QLineEdit:disabled { background: $window; color: $muted; }
QLineEdit:focus, QPlainTextEdit:focus, QTextEdit:focus { border: 1px solid $accent; }
QAbstractSpinBox, QComboBox { background: $surface; color: $text; border: 1px solid $border;
  border-radius: ${p6}px; padding: ${p4}px ${p6}px;
  selection-background-color: $accent; selection-color: $on_accent; }
QAbstractSpinBox:hover, QComboBox:hover { border-color: $muted; }
QAbstractSpinBox:focus, QComboBox:focus, QComboBox:on { border: 1px solid $accent; }
QAbstractSpinBox:disabled, QComboBox:disabled { background: $window; color: $muted; }
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button { subcontrol-origin: border; width: ${p20}px;
  background: transparent; border: none; }
QAbstractSpinBox::up-button { subcontrol-position: top right; border-top-right-radius: ${p6}px; }
QAbstractSpinBox::down-button { subcontrol-position: bottom right; border-bottom-right-radius: ${p6}px; }
QAbstractSpinBox::up-button:hover, QAbstractSpinBox::down-button:hover { background: $hover; }
QAbstractSpinBox::up-button:pressed, QAbstractSpinBox::down-button:pressed { background: $sunken; }
QAbstractSpinBox::up-arrow { image: url(drawn:arrow-up.svg); width: ${p10}px; height: ${p10}px; }
QAbstractSpinBox::down-arrow { image: url(drawn:arrow-down.svg); width: ${p10}px; height: ${p10}px; }
QAbstractSpinBox::up-arrow:off, QAbstractSpinBox::down-arrow:off { image: none; }
QComboBox::drop-down { subcontrol-origin: padding; subcontrol-position: center right; width: ${p20}px; border: none; }
QComboBox::down-arrow { image: url(drawn:arrow-down.svg); width: ${p12}px; height: ${p12}px; }
QCheckBox { spacing: ${p6}px; }
QCheckBox::indicator { width: ${p16}px; height: ${p16}px; border: 1px solid $muted; border-radius: ${p4}px;
  background: $surface; }
QCheckBox::indicator:hover, QCheckBox:focus::indicator { border-color: $accent; }
QCheckBox::indicator:checked { background: $accent; border-color: $accent; image: url(drawn:$tick); }
QCheckBox::indicator:disabled { background: $sunken; border-color: $border; }
QComboBox QAbstractItemView { background: $surface; color: $text; border: 1px solid $border; outline: none;
  selection-background-color: $accent_soft; selection-color: $text; }

QListView, QTreeView, QTableView { background: $surface; border: 1px solid $border; border-radius: ${p6}px;
  outline: none; }
QListView::item:selected, QTableView::item:selected { background: $accent_soft; color: $text; }
QListView[role="flush"], QTableView[role="flush"] { border: none; border-radius: 0; background: $window; }
QHeaderView::section { background: $window; color: $muted; border: none; border-bottom: 1px solid $border;
  padding: ${p4}px ${p8}px; }
QTableView { gridline-color: $border; }

QTabWidget::pane { border: none; border-top: 1px solid $border; }
QTabBar { background: transparent; }
QTabBar::tab { background: transparent; color: $muted; padding: ${p8}px ${p6}px; border: none;
  border-bottom: 2px solid transparent; }
QTabBar::tab:hover { color: $text; }
QTabBar::tab:selected { color: $text; border-bottom: 2px solid $accent; font-weight: 600; }
QTabBar::tab:focus { color: $accent; }

QScrollArea { background: transparent; border: none; }
QScrollArea > QWidget > QWidget { background: transparent; }
QScrollBar:vertical { background: transparent; width: ${p12}px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: ${p12}px; margin: 0; }
QScrollBar::handle { background: $border; border-radius: ${p4}px; margin: 2px; }
QScrollBar::handle:vertical { min-height: ${p24}px; }
QScrollBar::handle:horizontal { min-width: ${p24}px; }
QScrollBar::handle:hover { background: $muted; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }

QSlider { min-height: ${p24}px; }
QSlider::groove:horizontal { background: $border; height: ${p4}px; border-radius: 2px; }
QSlider::sub-page:horizontal { background: $accent; border-radius: 2px; }
QSlider::handle:horizontal { background: $surface; border: 2px solid $accent; width: ${p10}px; height: ${p10}px;
  margin: -${p6}px 0; border-radius: ${p6}px; }
QSlider::handle:horizontal:focus { background: $accent; }
QProgressBar { background: $sunken; border: none; border-radius: 3px; max-height: ${p6}px; min-height: ${p6}px; }
QProgressBar::chunk { background: $accent; border-radius: 3px; }

QSplitter::handle { background: $border; }
QSplitter::handle:horizontal { width: 1px; }
QSplitter::handle:vertical { height: 1px; }
QMenuBar { background: $window; color: $text; border-bottom: 1px solid $border; }
QMenuBar::item { padding: ${p4}px ${p8}px; background: transparent; }
QMenuBar::item:selected { background: $hover; }
QMenu { background: $surface; color: $text; border: 1px solid $border; padding: ${p4}px 0; }
QMenu::item { padding: ${p6}px ${p24}px ${p6}px ${p12}px; }
QMenu::icon { padding-left: ${p8}px; }
QMenu::item:selected { background: $accent_soft; color: $text; }
QMenu::item:disabled { color: $muted; }
QMenu::separator { height: 1px; background: $border; margin: ${p4}px ${p8}px; }
""")

_LENGTHS = (4, 6, 8, 10, 12, 16, 20, 24)


def style_sheet(colours: Mapping[str, object], sizes: Mapping[str, int], px: Callable[[float], int]) -> str:
    """The sheet of one palette and scale; it finds its arrows and ticks under Qt's search path ``drawn``.

    Those are files of one colour, which is read on both grounds: a sheet cannot tint.
    """
    tick = "tick-dark.svg" if colours["dark"] else "tick-light.svg"
    lengths = {f"p{length}": px(length) for length in _LENGTHS}
    return _SHEET.substitute({**colours, **sizes, **lengths, "tick": tick})
