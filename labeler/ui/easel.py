"""What the person holds in front of the image: the tool, its size, the class it paints."""

from __future__ import annotations

from PySide6.QtCore import QPointF, Signal
from PySide6.QtWidgets import QWidget

from labeler.ui.tools import Tool, limited_diameter, stepped_diameter
from labeler.ui.viewer import Viewer


class Easel(Viewer):
    """A viewer with a tool in hand; what the tool does is the canvas's."""

    diameter_changed = Signal(float)  # of the tool in use
    tool_changed = Signal(object)  # Tool

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tool, self._class_value = Tool.BRUSH, 1
        self._diameters = {Tool.BRUSH: 12.0, Tool.ERASER: 12.0}
        self._cursor_at: QPointF | None = None

    @property
    def tool(self) -> Tool:
        """What the left button does."""
        return self._tool

    @tool.setter
    def tool(self, tool: Tool) -> None:
        self.put_tool_down(Tool(tool))
        self._tool = Tool(tool)
        self._choose_cursor()
        self.update()
        self.tool_changed.emit(self._tool)
        self.diameter_changed.emit(self.diameter)

    def put_tool_down(self, next_tool: Tool) -> None:
        """End what the tool in hand is doing."""

    @property
    def class_value(self) -> int:
        """Pixel value that the tools paint."""
        return self._class_value

    @class_value.setter
    def class_value(self, value: int) -> None:
        self._class_value = value
        self.update()

    @property
    def brush_diameter(self) -> float:
        """In image pixels, 1..1024."""
        return self._diameters[Tool.BRUSH]

    @brush_diameter.setter
    def brush_diameter(self, diameter: float) -> None:
        self._set_diameter(Tool.BRUSH, diameter)

    @property
    def eraser_diameter(self) -> float:
        """In image pixels, 1..1024."""
        return self._diameters[Tool.ERASER]

    @eraser_diameter.setter
    def eraser_diameter(self, diameter: float) -> None:
        self._set_diameter(Tool.ERASER, diameter)

    @property
    def diameter(self) -> float:
        """Diameter of the tool in use: the eraser's own, the brush's for all others."""
        return self._diameters[self._sized_tool]

    def step_diameter(self, steps: float) -> None:
        """Make the tool in use larger (or smaller) by notches."""
        self._set_diameter(self._sized_tool, stepped_diameter(self.diameter, steps))

    @property
    def _sized_tool(self) -> Tool:
        return Tool.ERASER if self._tool is Tool.ERASER else Tool.BRUSH

    def _set_diameter(self, tool: Tool, diameter: float) -> None:
        self._diameters[tool] = limited_diameter(diameter)
        self._move_marks(self._cursor_at)
        if tool is self._sized_tool:
            self.diameter_changed.emit(self._diameters[tool])

    def _move_marks(self, position: QPointF | None) -> None:
        """Repaint what goes with the cursor, where it was and where it is."""
        self._cursor_at = position
