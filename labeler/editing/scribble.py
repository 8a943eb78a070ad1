"""Scribble to correct: a stroke says what is object or background, and the region around it is solved again.

Three things speak for or against what the stroke says. A classifier of pixels, learned on the spot from the strokes
and from the mask as it stands (least squares on random Fourier features: Rahimi and Recht, NIPS 2007), tells the same
error from the same look, so that one stroke on a loose rim tightens it all along. The mask itself, which is trusted
the deeper a pixel lies in it, and not near the stroke. And the neighbours: a random walker with priors (Grady, CVPR
2005), the smallest x in sum w_ij (x_i - x_j)^2 + sum g_i (x_i - u_i)^2 with weights w that fall across edges.

Only pixels that the stroke's class gains are changed, and only those that hang together with the stroke: a stroke that
adds takes nothing away, and nothing moves where nobody looked. A wide stroke also changes what looks like it around: on
nuclei, where the same error comes again and again, that mends more than the stroke was aimed at; on cells with weak
outlines it is wrong two times of three, so it is the person who asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.graph import MCP_Geometric

from labeler.editing.rects import Rect, box_of, slices, widened
from labeler.editing.smart import coloured
from labeler.editing.stroke import Stroke
from labeler.records import Mask
from labeler.spans import Point

_NEAR, _FAR = 64, 112  # pixels around a stroke that may change: at least, at most
_WIDE = 144  # and around a wide one
_OF_NET = 2  # of the features of a pixel are what the net says, the last ones
_WAVES = 96  # random features of the classifier
_TAUGHT = 5000  # pixels of the mask that it is taught, at most
_SAID = 0.2  # share of the lesson that the strokes make up
_DEEP = 4.0  # pixels from its outline at which the mask is trusted most
_REACH = 10.0  # length of the way from the stroke, along what looks like it, within which the mask is doubted
_MASK, _LOOK = 1.3, 1.5  # weights of mask and classifier
_GAIN = 0.3  # what speaks for it near the stroke
_BIAS = 0.2  # what speaks against any change far from the stroke
_PRIOR = 0.3  # of both against the neighbours
_EDGE = 4.0  # steps of the image, in units of the usual one, that separate
_SWEEPS = 10

Field = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scribble:
    """A stroke in image coordinates and the class (0: background) that it says."""

    points: tuple[Point, ...]
    diameter: float
    value: int


def resolved(
    rgb: NDArray[np.uint8],
    mask: Mask,
    probability: NDArray[np.uint8] | None,
    scribble: Scribble,
    earlier: Sequence[Scribble] = (),
    *,
    wide: bool = False,
) -> tuple[Rect, Mask] | None:
    """The rectangle around a stroke and its pixels as the stroke wants them; None where the stroke lies outside.

    ``wide`` changes what looks like it around as well.

    ``rgb`` (H, W) or (H, W, 3) as displayed, ``mask`` (H, W), ``probability`` (H, W) of foreground, 0..255, or None
    where nothing was predicted. What earlier strokes have said, and the mask still shows, holds.
    """
    drawn, rect = _stroke_and_region(mask.shape, scribble, _WIDE if wide else _NEAR)
    if rect is None:
        return None
    said = drawn[slices(rect)] > 0
    old = mask[slices(rect)]
    wanted = old == scribble.value
    confirmed, denied = said.copy(), np.zeros_like(said)
    for other in earlier:
        place = _drawn(mask.shape, other)[slices(rect)] > 0
        # An undone stroke is one that the mask does not show any more.
        if 2 * np.count_nonzero(old[place] == other.value) > place.sum():
            (confirmed if other.value == scribble.value else denied)[place & ~said] = True
    look, fine = _features(coloured(rgb[slices(rect)]), None if probability is None else probability[slices(rect)])
    trust = _trust(fine, said)
    if probability is not None:  # a net is heard as far as the stroke bears it out
        share = float(probability[slices(rect)][said].mean()) / 255
        look[..., -_OF_NET:] *= share if scribble.value else 1 - share
    score, heard = _judged(look, np.where(wanted | said, np.float32(1), -trust), confirmed, denied, said)
    gain = _GAIN * (2 - heard)  # where the look says nothing, the place has to
    mind = _LOOK * heard * score + (_MASK * _depth(wanted) - _BIAS) * trust + gain * (1 - trust)
    field = _walked(look[..., :1], mind, confirmed, denied)
    gained = ((field > 0) & ~wanted & ~denied) | said
    after = old.copy()
    after[gained if wide else _hanging_together(gained, said)] = scribble.value
    return rect, after


def _hanging_together(gained: NDArray[np.bool_], said: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The parts of what was gained that the stroke touches."""
    _, names = cv2.connectedComponents(gained.astype(np.uint8), connectivity=8)
    touched = np.unique(names[said])
    return np.isin(names, touched[touched > 0])


def _stroke_and_region(shape: tuple[int, ...], scribble: Scribble, near: int) -> tuple[Mask, Rect | None]:
    drawn = _drawn(shape, scribble)
    box = box_of(drawn)
    if box is None:
        return drawn, None
    reach = max(near, min(max(box[2] - box[0], box[3] - box[1]), _FAR))
    return drawn, widened(box, reach, shape)


def _drawn(shape: tuple[int, ...], scribble: Scribble) -> Mask:
    """The pixels (1) that a stroke covers."""
    stroke = Stroke(np.zeros(shape[:2], np.uint8), value=1, diameter=scribble.diameter, name="")
    stroke.draw(scribble.points)
    return stroke.mask


def _features(rgb: NDArray[np.uint8], probability: NDArray[np.uint8] | None) -> tuple[Field, Field]:
    """What each pixel looks like, (h, w, n), and the colours among it, (h, w, 1 or 3), hardly smoothed.

    Every feature has mean 0 and deviation 1; the first is lightness.
    """
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
    planes = list(np.moveaxis(lab if np.ptp(lab[..., 1:]) > 4 else lab[..., :1], 2, 0))
    found = [cv2.GaussianBlur(plane, (0, 0), sigma) for sigma in (0.7, 1.5, 3.0) for plane in planes]
    found.append(np.hypot(cv2.Sobel(found[0], cv2.CV_32F, 1, 0), cv2.Sobel(found[0], cv2.CV_32F, 0, 1)))
    if probability is not None:
        share = np.clip(probability.astype(np.float32) / 255, 0.01, 0.99)
        logit = np.log(share / (1 - share))
        found += [logit, cv2.GaussianBlur(logit, (0, 0), 2.0)]  # _OF_NET
    look = np.stack(found, axis=2)
    look -= look.mean(axis=(0, 1))
    look /= look.std(axis=(0, 1)) + 1e-3
    return look, look[..., len(planes) : 2 * len(planes)]


def _judged(
    look: Field, claims: Field, confirmed: NDArray[np.bool_], denied: NDArray[np.bool_], said: NDArray[np.bool_]
) -> tuple[Field, float]:
    """How much each pixel looks like what is wanted, about -1..1, and how far that is to be heard, 0..1.

    Taught by ``claims`` of the mask, -1..1, whose size is what they are worth, and louder by the strokes. It is not
    heard where it cannot tell the stroke in hand, ``said``, or all else has taught the opposite: who strikes out one of
    many objects that look the same goes by its place.
    """
    rng = np.random.default_rng(0)
    count = look.shape[2]
    waves = rng.normal(0, 0.7 / math.sqrt(count), (count, _WAVES)).astype(np.float32)
    phases = rng.uniform(0, 2 * np.pi, _WAVES).astype(np.float32)
    flat = look.reshape(-1, count)
    strokes = np.concatenate([np.flatnonzero(part) for part in ((confirmed | denied) & ~said, said)])
    plain = np.flatnonzero(~(confirmed | denied).ravel())
    plain = rng.choice(plain, min(_TAUGHT, plain.size), replace=False)
    claimed = claims.ravel()[plain]
    # Both sides count alike, however small the objects are.
    shares = float(claimed.clip(0).sum()), float((-claimed).clip(0).sum())
    weights = np.abs(claimed) * np.where(claimed > 0, *(0.5 * (1 - _SAID) / max(share, 1.0) for share in shares))
    told = np.where(confirmed.ravel()[strokes], 1.0, -1.0)
    lesson = np.concatenate([plain, strokes])
    answers = np.concatenate([np.sign(claimed), told]).astype(np.float32)
    loud = np.concatenate([weights, np.full(strokes.size, _SAID / max(strokes.size, 1))]).astype(np.float32)

    def seen(pixels: Field) -> Field:
        return np.hstack([np.cos(pixels @ waves + phases), pixels, np.ones((len(pixels), 1), np.float32)])

    taught = seen(flat[lesson])
    others = len(lesson) - np.count_nonzero(said)
    learned, without = _fitted(taught, answers, loud), _fitted(taught[:others], answers[:others], loud[:others])
    heard = min(max(2 * float((taught[others:] @ learned).mean()), 0.0), 1.0)
    heard *= min(max(3 + 3 * float((taught[others:] @ without).mean()), 0.0), 1.0)
    score: Field = (seen(flat) @ learned).reshape(claims.shape)
    return score.clip(-1.5, 1.5), heard


def _fitted(taught: Field, answers: Field, loud: Field) -> Field:
    """Weighted least squares, hardly damped."""
    weighted = taught * loud[:, None]
    normal = weighted.T @ taught + 1e-4 * np.eye(taught.shape[1], dtype=np.float32)
    return np.linalg.solve(normal, weighted.T @ answers).astype(np.float32)


def _depth(wanted: NDArray[np.bool_]) -> Field:
    """How deep a pixel lies on its side of the outline, -1 (not wanted) to 1."""
    side = [
        cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) if not part.all() else None
        for part in (wanted, ~wanted)
    ]
    if side[0] is None or side[1] is None:
        return np.where(wanted, np.float32(1), np.float32(-1))
    depth: Field = np.clip((side[0] - side[1]) / _DEEP, -1, 1)
    return depth


def _trust(fine: Field, said: NDArray[np.bool_]) -> Field:
    """How far the mask is to be believed, 0 at the stroke to 1: by the way from it through what looks like it.

    At half the size: the way is not needed to the pixel.
    """
    small = fine[::2, ::2]
    start = cv2.dilate(said.astype(np.uint8), np.ones((2, 2), np.uint8), anchor=(0, 0))[::2, ::2] > 0
    typical = np.median(small[start], axis=0)
    unlike = np.sqrt(np.square(small - typical).mean(axis=2))
    lengths, _ = MCP_Geometric(0.3 + 6 * np.minimum(unlike, 2) ** 2).find_costs(np.argwhere(start).tolist())
    trust = 1 - np.exp(-((2 * lengths.astype(np.float32) / _REACH) ** 2))
    whole: Field = cv2.resize(trust, said.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return whole


def _walked(light: Field, mind: Field, confirmed: NDArray[np.bool_], denied: NDArray[np.bool_]) -> Field:
    """The random walker on ``mind``, with the strokes held fast: relaxed a few times, as it starts near its end."""
    light = light.reshape(mind.shape)
    hold = np.where(confirmed | denied, np.float32(1e3), np.float32(_PRIOR))
    u = np.where(confirmed, np.float32(1), np.where(denied, np.float32(-1), mind)).astype(np.float32)
    steps = np.square(np.diff(light, axis=0)), np.square(np.diff(light, axis=1))
    usual = max(float(steps[0].mean() + steps[1].mean()) / 2, 1e-6)
    down, right = (np.exp(-step / np.float32(_EDGE * usual)) for step in steps)
    whole = hold.copy()
    whole[:-1] += down
    whole[1:] += down
    whole[:, :-1] += right
    whole[:, 1:] += right
    given, x = hold * u, u.copy()
    for _ in range(_SWEEPS):
        total = given.copy()
        total[:-1] += down * x[1:]
        total[1:] += down * x[:-1]
        total[:, :-1] += right * x[:, 1:]
        total[:, 1:] += right * x[:, :-1]
        np.divide(total, whole, out=x)
    return x
