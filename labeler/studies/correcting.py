"""A simulated person who corrects a predicted mask with the brush or with scribbles, and what it costs them.

The person knows the reference mask and sees what is wrong as a person does: what lies within a pixel of the reference
outline is right, as two people who outline the same object differ by that much, and specks of a few pixels are not
looked for. The work ends when the IoU that is left after this allowance is good enough, or nothing wrong is seen any
more. The tool is chosen for the error at hand, the largest first. The hand strays: it keeps to what it aims at within
the width it was given 19 times of 20, so that what is painted past an outline has to be mended too. The brush has
always the best size for the next error.

Seconds are modelled by the keystroke-level model (Card, Moran and Newell 1980: deciding 1.35 s, a key 0.28 s), Fitts's
law for the way to where a stroke starts (0.1 s + 0.15 s per bit) and the steering law for drawing it (Accot and Zhai
1997: 0.078 s times length over the width within which the hand may go astray). The brush must keep to the outline; a
scribble may lie anywhere in what is wrong.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.graph import route_through_array
from skimage.morphology import skeletonize

from labeler.editing import Rect, slices, widened
from labeler.editing.scribble import Scribble, resolved
from labeler.editing.stroke import Stroke
from labeler.metrics import iou
from labeler.records import Mask
from labeler.spans import Point

DECIDE_S, KEY_S = 1.35, 0.28
RESIZE_S = 4 * KEY_S  # some strokes of the bracket keys
UNDO_S = DECIDE_S + 2 * KEY_S
SCREEN_PX = 900  # the side of the canvas; the image fills it
FASTEST = 1500.0  # screen pixels a second, whatever the width
SLACK_PX = 1.5  # width within which an outline is drawn with care, in image pixels
SPECK_PX = 4  # fewer wrong pixels than these, beyond the allowance, are not seen
RADII = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
SCRIBBLE_PX = 5.0  # width on the screen
_SCRIBBLE_S = 2.4  # what a scribble takes as a rule
_HOPE = 0.8  # share of an error that a scribble is expected to mend, before one was tried
_TRUSTED = 0.8  # a scribble that has mended so much may do the same around
_MOST_STROKES = 400


@dataclass(slots=True)
class Tally:
    """What a correction has cost so far: strokes (a click is a short one), of them by brush, seconds, and the IoU."""

    strokes: int = 0
    brushed: int = 0
    undone: int = 0
    wide: int = 0
    seconds: float = 0.0
    waited: float = 0.0  # of the seconds: for the program's answer
    iou: float = 0.0  # with the allowance for outlines
    plain_iou: float = 0.0


@dataclass(slots=True)
class _Hand:
    """Where the pointer is and which brush it holds."""

    zoom: float
    rng: np.random.Generator
    at: Point = (0.0, 0.0)
    radius: float = 6.0
    tally: Tally = field(default_factory=Tally)

    def draw(self, path: NDArray[np.intp], *, slack: float, decides: bool) -> tuple[Point, ...]:
        """Draw a path of (row, column) within a width of ``slack`` image pixels; where it went."""
        start, width = (float(path[0][1]), float(path[0][0])), max(slack, 1.0) * self.zoom
        far = math.dist(self.at, start) * self.zoom
        length = len(path) * self.zoom
        self.tally.seconds += 0.1 + 0.15 * math.log2(far / width + 1) + max(0.078 * length / width, length / FASTEST)
        self.tally.seconds += DECIDE_S if decides else 0.0
        self.tally.strokes += 1
        self.at = float(path[-1][1]), float(path[-1][0])
        return self._strayed(path + 0.5, slack / 4)

    def _strayed(self, path: NDArray[Any], deviation: float) -> tuple[Point, ...]:
        """The path as it came out: off by a smooth deviation that changes every few pixels."""
        knots = self.rng.normal(0, deviation, (len(path) // 6 + 2, 2))
        along = np.arange(len(path)) / 6
        off = np.stack([np.interp(along, np.arange(len(knots)), knots[:, axis]) for axis in (0, 1)], axis=1)
        return tuple((float(column), float(row)) for row, column in path + off)

    def take(self, radius: float) -> None:
        """Change the size of the brush where it is another one."""
        self.tally.seconds += RESIZE_S if radius != self.radius else 0.0
        self.radius = radius


def with_brush(mask: Mask, reference: Mask, *, goal: float = 0.95, seed: int = 0) -> Tally:
    """Correct a binary mask (H, W) with the plain brush until its tolerant IoU with the reference is ``goal``.

    Another ``seed`` is another hand.
    """
    mask, hand = mask.copy(), _hand(mask, seed)
    while _lacks(hand, mask, reference, goal) and (wrong := next(_errors(mask, reference), None)) is not None:
        _brush(hand, mask, _planned(hand, mask, reference, wrong))
    return hand.tally


def with_scribbles(
    rgb: NDArray[np.uint8],
    mask: Mask,
    probability: NDArray[np.uint8] | None,
    reference: Mask,
    *,
    goal: float = 0.95,
    seed: int = 0,
) -> Tally:
    """Correct with scribbles, and with the brush where that has come to look quicker.

    What a scribble has made worse is undone. From each the person learns what scribbles are worth on errors of about
    that size. One that did its work well is followed by a wide one, and what that did decides about the next.
    """
    mask, hand = mask.copy(), _hand(mask, seed)
    earlier: list[Scribble] = []
    wide = True, 0
    worth = {wide: 0.0}  # by width, and size of the error in powers of two: what is mended of it
    while _lacks(hand, mask, reference, goal) and (wrong := next(_errors(mask, reference), None)) is not None:
        area = wrong.seen
        plan = _planned(hand, mask, reference, wrong)
        kind = wide if worth[wide] > worth.setdefault((False, area.bit_length()), _HOPE) else (False, area.bit_length())
        if worth[kind] * area / _SCRIBBLE_S < plan.gain / plan.seconds:
            _brush(hand, mask, plan)
            continue
        gained = _scribble(hand, rgb, mask, probability, reference, wrong, earlier, wide=kind == wide)
        worth[kind] = (0.6 * worth[kind] + 0.4 * max(gained, 0) / area) * (1.0 if gained > 0 else 0.7)  # the undoing
        if kind != wide and worth[wide] == 0 and gained > _TRUSTED * area:
            worth[wide] = 2 * _HOPE
    return hand.tally


def _hand(mask: Mask, seed: int = 0) -> _Hand:
    return _Hand(zoom=max(SCREEN_PX / max(mask.shape), 3.0), rng=np.random.default_rng(seed))


def _lacks(hand: _Hand, mask: Mask, reference: Mask, goal: float) -> bool:
    hand.tally.iou, hand.tally.plain_iou = tolerant_iou(mask, reference), float(iou(mask, reference))
    return hand.tally.iou < goal and hand.tally.strokes < _MOST_STROKES


def tolerant_iou(mask: Mask, reference: Mask) -> float:
    """IoU of binary masks (H, W) where all within a pixel of the reference outline counts as right."""
    return float(iou(np.where(_outline(reference), reference, mask), reference))


def _outline(reference: Mask) -> NDArray[np.bool_]:
    """The pixels that touch the outline on either side."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    touching: NDArray[np.bool_] = cv2.dilate(reference, cross) != cv2.erode(reference, cross)
    return touching


@dataclass(frozen=True, slots=True, eq=False)
class _Wrong:
    """A connected wrong part: its rectangle, its pixels there, and what they should be."""

    rect: Rect
    pixels: NDArray[np.bool_]
    value: int
    seen: int  # of its pixels lie beyond the allowance


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What a brush of one radius does to a part: its path in ``rect`` and what it mends."""

    rect: Rect
    value: int
    radius: float
    path: NDArray[np.bool_]
    slack: float
    gain: int
    seconds: float


def _errors(mask: Mask, reference: Mask) -> Iterator[_Wrong]:
    """The connected wrong parts that are seen, the largest first."""
    found = []
    plain = ~_outline(reference)
    for value in (0, 1):
        wrong = (mask != reference) & (reference == value)
        count, names, stats, _ = cv2.connectedComponentsWithStats(wrong.astype(np.uint8), connectivity=8)
        seen = np.bincount(names[wrong & plain], minlength=count)
        boxes = stats[:, :4].tolist()
        found += [(int(seen[name]), value, name, names, boxes[name]) for name in range(1, count)]
    for area, value, name, names, (x, y, w, h) in sorted(found, key=lambda part: -part[0]):
        if area < SPECK_PX:
            return
        rect = y, x, y + h, x + w
        yield _Wrong(rect, names[slices(rect)] == name, value, area)


def _planned(hand: _Hand, mask: Mask, reference: Mask, wrong: _Wrong) -> _Plan:
    """The brush that mends most a second of one wrong part, without leaving what should be its value."""
    rect = widened(wrong.rect, round(2 * RADII[-1]) + 2, mask.shape)
    target = (reference[slices(rect)] == wrong.value).astype(np.uint8)
    missing = np.zeros(target.shape, np.uint8)
    missing[slices(wrong.rect, rect[:2])] = wrong.pixels
    seen = (missing > 0) & ~_outline(reference)[slices(rect)]
    padded = cv2.copyMakeBorder(target, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    # The centre of a disc of radius r covers the pixels whose centres are within r.
    room = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    room = np.minimum(room, 2 * RADII[-1])  # where there is no outline about, it is said to be 1e19 away
    # A disc that fits nowhere near what is wrong needs no plan.
    most = float(room[cv2.dilate(missing, np.ones((9, 9), np.uint8)) > 0].max()) + 4
    plans = []
    for radius in (radius for radius in RADII if radius <= max(most, RADII[0])):
        plan = _plan(room, missing, radius)
        if plan is not None:
            path, covered, slack = plan
            seconds = DECIDE_S + 0.4 + 0.078 * np.count_nonzero(path) / max(slack, 1.0)
            seconds += RESIZE_S if radius != hand.radius else 0.0
            gain = int(np.count_nonzero(covered & seen))
            plans.append(_Plan(rect, wrong.value, radius, path, slack, gain, seconds))
    assert plans, "the smallest brush fits everywhere"
    return max(plans, key=lambda plan: plan.gain / plan.seconds)


def _brush(hand: _Hand, mask: Mask, plan: _Plan) -> None:
    hand.take(plan.radius)
    for number, piece in enumerate(_pieces(plan.path)):
        drawn = hand.draw(piece + np.array(plan.rect[:2]), slack=plan.slack, decides=number == 0)
        hand.tally.brushed += 1
        stroke = Stroke(mask, value=plan.value, diameter=max(2 * plan.radius, 1.0), name="brush")
        for point in drawn:
            # Disc by disc: a branching path has no order in which it could be joined.
            stroke.last = None
            stroke.draw([point])


def _plan(
    room: NDArray[np.float32], missing: Mask, radius: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], float] | None:
    """Path of the centre, pixels painted, and how far the hand may stray, for a brush of this radius."""
    side = 2 * math.floor(radius) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    allowed = (room > radius - 0.25) & (cv2.dilate(missing, disc) > 0)
    if not allowed.any():
        return None
    path = skeletonize(allowed) if allowed.sum() > 2 else allowed
    covered = cv2.dilate(path.astype(np.uint8), disc) > 0
    if not (covered & (missing > 0)).any():
        return None
    slack = 2 * float(np.median(room[path] - radius).clip(0)) + SLACK_PX
    return path, covered, slack


def _pieces(path: NDArray[np.bool_]) -> Iterator[NDArray[np.intp]]:
    count, names = cv2.connectedComponents(path.astype(np.uint8), connectivity=8)
    for name in range(1, count):
        yield np.argwhere(names == name)


def _scribble(
    hand: _Hand,
    rgb: NDArray[np.uint8],
    mask: Mask,
    probability: NDArray[np.uint8] | None,
    reference: Mask,
    wrong: _Wrong,
    earlier: list[Scribble],
    *,
    wide: bool,
) -> int:
    """Draw through the middle of one wrong part; pixels mended. Where the answer was worse it has been undone."""
    path, slack = _middle(wrong.pixels)
    path = path + np.array(wrong.rect[:2])
    points = hand.draw(path, slack=slack, decides=True)
    hand.tally.seconds += KEY_S if wide else 0.0
    hand.tally.wide += wide
    scribble = Scribble(points, max(min(SCRIBBLE_PX / hand.zoom, slack), 1.0), wrong.value)
    plain = ~_outline(reference)
    started = time.process_time()  # on a machine of its own
    made = resolved(rgb, mask, probability, scribble, earlier, wide=wide)
    waited = time.process_time() - started
    hand.tally.seconds += waited
    hand.tally.waited += waited
    after = mask.copy()
    if made is not None:
        after[slices(made[0])] = made[1]
    gained = int(np.count_nonzero((mask != reference) & plain) - np.count_nonzero((after != reference) & plain))
    if gained <= 0:
        hand.tally.seconds += UNDO_S
        hand.tally.undone += 1
        return gained
    mask[:] = after
    earlier.append(scribble)
    return gained


def _middle(part: NDArray[np.bool_]) -> tuple[NDArray[np.intp], float]:
    """The middle of a part as a path of (row, column), and how far the hand may stray from it."""
    padded = np.pad(part, 1)
    room = cv2.distanceTransform(padded.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    spine = np.argwhere(skeletonize(padded)) if part.sum() > 2 else np.argwhere(padded)
    if not len(spine):
        spine = np.argwhere(padded)
    first = spine[np.argmax(((spine - spine.mean(axis=0)) ** 2).sum(axis=1))]
    last = spine[np.argmax(((spine - first) ** 2).sum(axis=1))]
    costs = np.where(padded, 1 + 8 / np.maximum(room, 0.5) ** 2, -1)
    path = np.array(route_through_array(costs, first, last, fully_connected=True)[0])
    trimmed = path[len(path) // 5 : max(len(path) - len(path) // 5, len(path) // 5 + 1)]
    slack = 2 * float(np.median(room[tuple(trimmed.T)]))
    return trimmed - 1, slack
