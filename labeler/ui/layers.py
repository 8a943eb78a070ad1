"""What the canvas paints: the image and, over it, a mask as fill and contour, one rectangle of the widget at a time."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRect, QSize
from PySide6.QtGui import QColor, QImage, QPainter

from labeler.images import Pyramid
from labeler.records import Mask
from labeler.ui.theme import theme
from labeler.ui.view import View

Overlay = Literal["fill", "contour", "off"]

CONTOUR_PAD = 3  # widget pixels around a changed mask pixel that its contour may reach
_HALO = 255  # index of the dark line beside a contour; no class has it
_HALO_COLOUR = QColor(0, 0, 0, 150)
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_SQUARE = cv2.getStructuringElement(cv2.MORPH_RECT, (3, 3))


@dataclass(frozen=True, slots=True)
class Tone:
    """How pixel values are shown: brightness -1..1, contrast 0..4, gamma 0.1..10 (1 is neutral for both).

    ``channel`` shows one channel as grey: 0 red, 1 green, 2 blue; None shows all. A grey image has no channels.
    """

    brightness: float = 0.0
    contrast: float = 1.0
    gamma: float = 1.0
    channel: int | None = None

    def table(self) -> NDArray[np.uint8]:
        """The shown value of each of the 256 values."""
        value = (np.arange(256) / 255 - 0.5) * self.contrast + 0.5 + self.brightness
        shown = np.clip(value, 0, 1) ** (1 / min(max(self.gamma, 0.1), 10))
        return np.rint(255 * shown).astype(np.uint8)

    def shown(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A piece of an image as it is shown."""
        if self.channel is not None and pixels.ndim == 3:
            pixels = pixels[..., self.channel]
        shown: NDArray[np.uint8] = cv2.LUT(np.ascontiguousarray(pixels), self.table())
        return shown


class ImageLayer:
    """The image, drawn from the level of its pyramid that fits the zoom."""

    def __init__(self, pyramid: Pyramid) -> None:
        self._levels = pyramid.levels
        self._drawn = [_image(level) for level in self._levels]
        height, width = self._levels[0].shape[:2]
        self.size = QSize(width, height)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The image in 8 bit at full size, (H, W) or (H, W, 3)."""
        return self._levels[0]

    def draw(self, painter: QPainter, view: View, shown: QRect, *, tone: Tone) -> None:
        """Paint what lies in ``shown``; the cost goes with its size, not the image's."""
        index = min(max(math.floor(-math.log2(view.zoom)), 0), len(self._levels) - 1)
        height, width = self._levels[index].shape[:2]
        scale_x, scale_y = self.size.width() / width, self.size.height() / height
        rect = view.image_rect(shown, self.size)
        if rect is None:
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, view.zoom < 2)
        painter.translate(*view.origin)
        painter.scale(view.zoom * scale_x, view.zoom * scale_y)
        if tone == Tone():
            painter.drawImage(0, 0, self._drawn[index])
        else:
            # Two pixels more, so that smoothing at the edge sees what it would see in the whole image.
            y0, x0 = max(int(rect[0] / scale_y) - 2, 0), max(int(rect[1] / scale_x) - 2, 0)
            y1, x1 = math.ceil(rect[2] / scale_y) + 2, math.ceil(rect[3] / scale_x) + 2
            painter.drawImage(x0, y0, _image(tone.shown(self._levels[index][y0:y1, x0:x1])))
        painter.restore()


class HeatLayer:
    """A map of how much is in doubt, (H, W) uint8: nothing where it is 0, yellow over red to dark where it is 255."""

    def __init__(self, heat: NDArray[np.uint8] | Callable[[], NDArray[np.uint8]]) -> None:
        self._heat = heat

    def draw(self, painter: QPainter, view: View, shown: QRect) -> None:
        """Paint what lies in ``shown``."""
        if callable(self._heat):
            self._heat = self._heat()
        left, top, ratio, seen = _seen(self._heat, painter, view, shown, pad=0)
        if seen.any():
            _draw_pixels(painter, np.take(_HEAT, seen), left, top, ratio)


class MaskLayer:
    """A mask looked at through its own array: what is painted into it is seen at the next draw.

    It is sampled at the pixels of the screen: the cost goes with the painted rectangle at any zoom, lines are equally
    thin everywhere, and a stroke retraces only what it touched. (A QImage over the same memory needs no sampling, but
    QPainter takes four times as long to scale one with a colour table, and there would be no contour yet.)
    """

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._size = QSize(mask.shape[1], mask.shape[0])

    def draw(self, painter: QPainter, view: View, shown: QRect, *, style: Overlay, opacity: float) -> None:
        """Paint what lies in ``shown``: a tint with a fine line around it, or a line alone."""
        if style == "off" or view.image_rect(shown, self._size) is None:
            return
        left, top, ratio, seen = _seen(self._mask, painter, view, shown, pad=2)
        if not seen.any():
            return
        x, y = view.origin  # dashes lie still on the image, whatever part of it is painted
        rows = np.arange(seen.shape[0]) + top - 2 - round(y * ratio)
        columns = np.arange(seen.shape[1]) + left - 2 - round(x * ratio)
        traced = _traced(seen, rows, columns, bold=style == "contour")[2:-2, 2:-2]
        pixels = np.take(_colour_table(1.0, theme.class_colours), traced)
        if style == "fill":
            np.copyto(pixels, np.take(_colour_table(opacity, theme.class_colours), seen[2:-2, 2:-2]), where=traced == 0)
        _draw_pixels(painter, pixels, left, top, ratio)


def _seen(
    plane: NDArray[np.uint8], painter: QPainter, view: View, shown: QRect, *, pad: int
) -> tuple[int, int, float, NDArray[np.uint8]]:
    """Left, top and ratio of the screen pixels in ``shown``, and the values of ``plane`` there, ``pad`` more around."""
    ratio = painter.device().devicePixelRatioF()
    left, top = math.floor(shown.x() * ratio), math.floor(shown.y() * ratio)
    columns = np.arange(left - pad, math.ceil((shown.x() + shown.width()) * ratio) + pad)
    rows = np.arange(top - pad, math.ceil((shown.y() + shown.height()) * ratio) + pad)
    x, y = view.origin
    seen = _sampled(plane, ((rows + 0.5) / ratio - y) / view.zoom, ((columns + 0.5) / ratio - x) / view.zoom)
    return left, top, ratio, seen


def _draw_pixels(painter: QPainter, pixels: NDArray[np.uint32], left: int, top: int, ratio: float) -> None:
    height, width = pixels.shape
    drawn = QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_ARGB32_Premultiplied)
    drawn.setDevicePixelRatio(ratio)
    painter.drawImage(QPointF(left / ratio, top / ratio), drawn)


@functools.lru_cache(maxsize=8)
def _colour_table(opacity: float, classes: tuple[str, ...]) -> NDArray[np.uint32]:
    """Premultiplied ARGB of every pixel value: nothing, the ``classes`` in turn, and the dark line beside a contour."""
    colours = [*(QColor(classes[(value - 1) % len(classes)]) for value in range(_HALO)), _HALO_COLOUR]
    shares = [0.0] + [opacity] * (_HALO - 1) + [_HALO_COLOUR.alphaF()]
    rows = [
        [round(channel * share) for channel in (255, colour.red(), colour.green(), colour.blue())]
        for colour, share in zip(colours, shares, strict=True)
    ]
    return np.array(rows, np.uint32) @ np.array([1 << 24, 1 << 16, 1 << 8, 1], np.uint32)


def _sampled(mask: Mask, ys: NDArray[np.floating], xs: NDArray[np.floating]) -> Mask:
    """The mask at image coordinates ``ys`` x ``xs`` (ascending); background outside the image."""
    height, width = mask.shape
    rows, columns = np.floor(ys).astype(np.int64), np.floor(xs).astype(np.int64)
    seen = np.zeros((len(rows), len(columns)), np.uint8)
    row_part = slice(*np.searchsorted(rows, [0, height]))
    column_part = slice(*np.searchsorted(columns, [0, width]))
    if len(rows[row_part]) and len(columns[column_part]):
        first = columns[column_part][0]
        strip = mask[rows[row_part], first : columns[column_part][-1] + 1]
        seen[row_part, column_part] = np.take(strip, columns[column_part] - first, axis=1)
    return seen


def _traced(seen: Mask, rows: NDArray[np.int64], columns: NDArray[np.int64], *, bold: bool) -> Mask:
    """Indices into the outline colours: the rim of every class inside it, a dark line outside.

    The second class is dashed and the third dotted (and so on in turn), so that colour is not the only difference.
    """
    reach = _SQUARE if bold else _CROSS
    low, high = cv2.erode(seen, reach), cv2.dilate(seen, reach)
    if bold:
        low, high = cv2.erode(low, _CROSS), cv2.dilate(high, _CROSS)
    traced: Mask = np.where((low != seen) | (high != seen), seen, np.uint8(0))
    if traced.max() > 1:
        diagonals = rows[:, None] + columns
        turn = (traced - np.uint8(1)) % 3
        gap = ((turn == 1) & (diagonals % 12 >= 8)) | ((turn == 2) & (diagonals % 6 >= 3))
        traced[gap & (traced > 0)] = _HALO
    traced[(seen == 0) & (cv2.dilate(seen, _CROSS) > 0)] = _HALO
    return traced


def _image(pixels: NDArray[np.uint8]) -> QImage:
    height, width = pixels.shape[:2]
    if pixels.ndim == 2:
        return QImage(pixels.data, width, height, width, QImage.Format.Format_Grayscale8)
    return QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)


def doubt(probability: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """How undecided a model is at each pixel: 0 where it is sure, 255 where it is torn."""
    table = np.rint(255 - 2 * np.abs(np.arange(256) - 127.5)).clip(0, 255).astype(np.uint8)
    torn: NDArray[np.uint8] = cv2.LUT(probability, table)
    return torn


def _heat_table() -> NDArray[np.uint32]:
    """Premultiplied ARGB from nothing to opaque; the lightness falls all the way, whatever colours one sees."""
    stops = np.array([[0, 253, 231, 37], [90, 253, 190, 60], [170, 221, 73, 45], [225, 90, 10, 60]], np.float64)
    at = np.array([0, 64, 160, 255])
    alpha, *colours = (np.interp(np.arange(256), at, stops[:, column]) for column in range(4))
    planes = [alpha, *(colour * alpha / 255 for colour in colours)]
    return np.rint(planes).astype(np.uint32).T @ np.array([1 << 24, 1 << 16, 1 << 8, 1], np.uint32)


_HEAT = _heat_table()
