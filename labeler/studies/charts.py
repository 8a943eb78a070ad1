"""Charts for reports, drawn with Pillow: axes with round ticks and units, lines, bars, a legend."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

# Okabe and Ito: told apart with any colour vision; dashes tell lines apart without any.
COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (230, 159, 0), (0, 0, 0))
PAPER, INK, FAINT, SOFT = (255, 255, 255), (32, 32, 32), (226, 226, 226), (110, 110, 110)
SIZE = (760, 440)  # pixels
LEFT, RIGHT, TOP, BOTTOM = 76, 22, 44, 56  # margins
FINER = 2  # drawn larger and scaled down: Pillow's lines have no soft edges
Dashes = tuple[float, float] | None
Colour = tuple[int, int, int]
Entry = tuple[str, Colour, Dashes]  # of a legend
DASHES: tuple[Dashes, ...] = (None, (9, 5), (3, 3), (14, 4))  # drawn, left out, in pixels


@dataclass(frozen=True, slots=True)
class Line:
    """One curve; ``is_stepped`` holds each value until the next place."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    is_stepped: bool = False
    has_dots: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis shows. A logarithmic one starts at a power of ten unless it is told where."""

    title: str  # with its unit
    low: float | None = None
    high: float | None = None
    is_log: bool = False
    is_share: bool = False  # ticks in percent


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line that means something, such as a threshold."""

    x: float
    name: str


def chart(title: str, lines: Sequence[Line], *, x: Axis, y: Axis, marks: Sequence[Mark] = ()) -> PILImage.Image:
    """Lines over two axes, with a legend where there are several or marks."""
    board = _Board(title, x, y, _bounds(x, [line.x for line in lines]), _bounds(y, [line.y for line in lines]))
    board.frame()
    for mark in marks:
        board.path([mark.x, mark.x], list(board.y_bounds), SOFT, (4, 4), width=1.5)
    entries: list[Entry] = []
    for at, line in enumerate(lines):
        colour, dashes = COLOURS[at % len(COLOURS)], DASHES[at % len(DASHES)]
        xs, ys = _stepped(line) if line.is_stepped else (list(line.x), list(line.y))
        board.path(xs, ys, colour, dashes, width=2.2)
        if line.has_dots:
            board.dots(line.x, line.y, colour)
        entries.append((line.name, colour, dashes))
    board.legend([*entries, *((mark.name, SOFT, (4, 4)) for mark in marks)])
    return board.done()


def _stepped(line: Line) -> tuple[list[float], list[float]]:
    xs, ys = np.repeat(line.x, 2)[1:], np.repeat(line.y, 2)[:-1]
    return [float(value) for value in xs], [float(value) for value in ys]


def _bounds(axis: Axis, values: Sequence[Sequence[float]]) -> tuple[float, float]:
    flat = [float(value) for row in values for value in row if not axis.is_log or value > 0]
    low = min(flat, default=0.0) if axis.low is None else axis.low
    high = max(flat, default=1.0) if axis.high is None else axis.high
    if axis.is_log:
        low = 10.0 ** math.floor(math.log10(max(low, 1e-9))) if axis.low is None else low
        return low, max(high * 1.15, low * 2)
    return (low, high) if high > low else (low, low + 1.0)


def ticks(low: float, high: float, *, wanted: int = 6) -> list[float]:
    """Round numbers from ``low`` to ``high``: steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten from ``low`` to ``high``; with less than two decades also 2 and 5 times them."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if high / low > 100 else (1, 2, 5)
    found = [factor * 10.0**power for power in powers for factor in factors]
    return [value for value in found if low * 0.999 <= value <= high * 1.001]


def tick_text(value: float, axis: Axis) -> str:
    """A tick as it is written: thousands with commas, shares in percent."""
    if axis.is_share:
        return f"{100 * value:.10g} %"
    return f"{round(value):,}" if abs(value) >= 1000 else f"{value:.6g}"


class _Board:
    """The paper, and where values lie on it."""

    def __init__(
        self, title: str, x: Axis, y: Axis, x_bounds: tuple[float, float], y_bounds: tuple[float, float]
    ) -> None:
        self.title, self.x, self.y, self.x_bounds, self.y_bounds = title, x, y, x_bounds, y_bounds
        self.paper = PILImage.new("RGB", (SIZE[0] * FINER, SIZE[1] * FINER), PAPER)
        self.draw = ImageDraw.Draw(self.paper)
        self.font, self.bold = ImageFont.load_default(13 * FINER), ImageFont.load_default(16 * FINER)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Place of a value on the large paper."""
        across, up = _share(x, self.x_bounds, is_log=self.x.is_log), _share(y, self.y_bounds, is_log=self.y.is_log)
        width, height = SIZE[0] - LEFT - RIGHT, SIZE[1] - TOP - BOTTOM
        return (LEFT + across * width) * FINER, (TOP + (1 - up) * height) * FINER

    def frame(self) -> None:
        """Title, grid, ticks and the names of the axes."""
        left, bottom = self.at(self.x_bounds[0], self.y_bounds[0])
        right, top = self.at(self.x_bounds[1], self.y_bounds[1])
        for value in self._ticks(self.x, self.x_bounds):
            place = self.at(value, self.y_bounds[0])[0]
            self.draw.line([(place, top), (place, bottom)], fill=FAINT, width=FINER)
            self.draw.text((place, bottom + 5 * FINER), tick_text(value, self.x), INK, self.font, anchor="ma")
        for value in self._ticks(self.y, self.y_bounds):
            place = self.at(self.x_bounds[0], value)[1]
            self.draw.line([(left, place), (right, place)], fill=FAINT, width=FINER)
            self.draw.text((left - 6 * FINER, place), tick_text(value, self.y), INK, self.font, anchor="rm")
        self.draw.line([(left, top), (left, bottom), (right, bottom)], fill=INK, width=FINER)
        self.draw.text((left, 12 * FINER), self.title, INK, self.bold, anchor="la")
        middle = ((left + right) / 2, (SIZE[1] - 10) * FINER)
        self.draw.text(middle, self.x.title, INK, self.font, anchor="md")
        self._upright(self.y.title, (top + bottom) / 2)

    def _upright(self, text: str, middle: float) -> None:
        """The name of the vertical axis, turned by 90 degrees."""
        width, height = (round(value) for value in self.draw.textbbox((0, 0), text, self.font)[2:])
        turned = PILImage.new("RGB", (width + 2, height + 4), PAPER)
        ImageDraw.Draw(turned).text((0, 0), text, INK, self.font)
        turned = turned.rotate(90, expand=True)
        self.paper.paste(turned, (8 * FINER, round(middle - turned.height / 2)))

    def _ticks(self, axis: Axis, bounds: tuple[float, float]) -> list[float]:
        return log_ticks(*bounds) if axis.is_log else ticks(*bounds)

    def path(self, xs: Sequence[float], ys: Sequence[float], colour: Colour, dashes: Dashes, *, width: float) -> None:
        """A line through the values; what lies outside the axes is drawn on their edge."""
        places = [self.at(x, y) for x, y in zip(xs, ys, strict=True)]
        pieces = [places] if dashes is None else _dashed(places, dashes[0] * FINER, dashes[1] * FINER)
        for piece in pieces:
            self.draw.line(piece, fill=colour, width=round(width * FINER), joint="curve")

    def dots(self, xs: Sequence[float], ys: Sequence[float], colour: Colour) -> None:
        """A dot at each value."""
        size = 3.2 * FINER
        for x, y in zip(xs, ys, strict=True):
            across, down = self.at(x, y)
            self.draw.ellipse((across - size, down - size, across + size, down + size), fill=colour)

    def legend(self, entries: Sequence[Entry]) -> None:
        """Names beside a piece of their line, in the corner that the fewest inked pixels fill."""
        if len(entries) < 2:
            return
        width = max(self.draw.textlength(name, self.font) for name, _, _ in entries) + 46 * FINER
        height = (len(entries) * 19 + 10) * FINER
        left, top = self._emptiest(width, height)
        self.draw.rectangle((left, top, left + width, top + height), fill=PAPER, outline=FAINT, width=FINER)
        for at, (name, colour, dashes) in enumerate(entries):
            middle = top + (14 + at * 19) * FINER
            ends = [(left + 8 * FINER, middle), (left + 34 * FINER, middle)]
            pieces = [ends] if dashes is None else _dashed(ends, dashes[0] * FINER, dashes[1] * FINER)
            for piece in pieces:
                self.draw.line(piece, fill=colour, width=round(2.2 * FINER))
            self.draw.text((left + 40 * FINER, middle), name, INK, self.font, anchor="lm")

    def _emptiest(self, width: float, height: float) -> tuple[float, float]:
        pixels, gap = np.asarray(self.paper), 8 * FINER
        is_inked = (pixels.min(axis=-1) < min(FAINT)) & (pixels.max(axis=-1) >= 0)
        lefts = (LEFT * FINER + gap, (SIZE[0] - RIGHT) * FINER - width - gap)
        tops = (TOP * FINER + gap, (SIZE[1] - BOTTOM) * FINER - height - gap)
        corners = [(left, top) for top in tops for left in reversed(lefts)]
        return min(
            corners,
            key=lambda corner: int(
                is_inked[int(corner[1]) : int(corner[1] + height), int(corner[0]) : int(corner[0] + width)].sum()
            ),
        )

    def done(self) -> PILImage.Image:
        """The finished picture."""
        return self.paper.resize(SIZE, PILImage.Resampling.LANCZOS)


def _share(value: float, bounds: tuple[float, float], *, is_log: bool) -> float:
    low, high = (math.log10(bound) for bound in bounds) if is_log else bounds
    value = math.log10(max(value, 1e-12)) if is_log else value
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _dashed(places: Sequence[tuple[float, float]], drawn: float, left_out: float) -> list[list[tuple[float, float]]]:
    """A path cut into dashes."""
    pieces, along = [], 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(places):
        length, at = math.hypot(x1 - x0, y1 - y0), 0.0
        while at < length:
            phase = along % (drawn + left_out)
            is_drawn = phase < drawn
            step = min((drawn if is_drawn else drawn + left_out) - phase, length - at) or left_out
            if is_drawn:
                ends = [(x0 + (x1 - x0) * part / length, y0 + (y1 - y0) * part / length) for part in (at, at + step)]
                pieces.append(ends)
            at, along = at + step, along + step
    return pieces
