"""Editing a mask: strokes, outlines, clean-ups, smart tools, scribbles, undo and redo. No Qt.

Points are (x, y) in image coordinates as in ``spans``: a shape paints the pixels whose centres lie in it.
"""

from labeler.editing.editor import MaskEditor
from labeler.editing.history import Edit, Entry, History, Patch
from labeler.editing.rects import Rect, changed_box, joined, overlap, slices, widened
from labeler.editing.regions import connected, parts
from labeler.editing.scribble import Scribble, resolved
from labeler.editing.smart import alike, alike_in_disc, boxed
from labeler.editing.snapping import snapped_to_edges
from labeler.editing.stroke import TILE

__all__ = [
    "TILE",
    "Edit",
    "Entry",
    "History",
    "MaskEditor",
    "Patch",
    "Rect",
    "Scribble",
    "alike",
    "alike_in_disc",
    "boxed",
    "changed_box",
    "connected",
    "joined",
    "overlap",
    "parts",
    "resolved",
    "slices",
    "snapped_to_edges",
    "widened",
]
