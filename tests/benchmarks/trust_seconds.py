"""What a person spends on a stream until at most 2 % of its masks are wrong, certified."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from trust_streams import Case, Stage, Stream

from labeler.calibration import Pair, fit_calibrator
from labeler.certificate import Audited, bound
from labeler.settings import Settings
from labeler.views import GreyZone

T = Settings().wrong_below
WANTED = 0.02  # of all masks of the stream may be wrong, with 95 %
RATES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)  # of the coins, tried from the cheapest on
CUTS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)  # chances to be wrong up to which masks may be accepted
LONG = 10_000  # images of a long stream: the measured ones again and again
HOLDOUT = 40  # labels by lot that calibrate
SEEDS = 30  # of the coins
ABOUT = """The last model of each stream. *Label everything*: every image is drawn. *Look at everything*: the core is
drawn, each other mask gets a glance, and what is wrong is corrected. *Ours*: the core and 40 labels by lot for the
holdout; what is too likely to be wrong waits, gets a glance and, if it is wrong, a correction; the others are
accepted, and some of them audited by secret coins (a glance each, the wrong ones mended) until the certificate says
that at most 2 % of the stream's masks are wrong. From which chance on masks wait, and the rate of the coins, are fixed
before, by what the calibrator expects to cost least; where the certificate falls short, everything accepted is looked
at. Glance 2.5 s, also at half and double; correction 5 s and 3 s for 15 pixels of wrong outline, at most a redraw of
25 s. A person who is handed a mask with an IoU of at least t leaves it. Means of 30 seeds; *wrong at the end* is the
true share of wrong masks. The rows of 10,000 images repeat those that were measured: what the size alone changes."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Prices:
    """Seconds of a person."""

    glance: float = 2.5
    correction: float = 5.0
    outline: float = 3.0 / 15  # a pixel
    redraw: float = 25.0

    def mending(self, pixels: int) -> float:
        """Of one wrong mask."""
        return min(self.redraw, self.correction + self.outline * pixels)


@dataclass(frozen=True)
class Finished:
    """A stream that is through."""

    seconds: float
    labels: float
    glances: float
    audits: float
    wrong: float  # true share of wrong masks left
    is_certified: bool


def rows(stream: Stream, stage: Stage, cases: Sequence[Case]) -> list[Row]:
    """A row for each way: with the prices as they are, the glance at half and double, and for a long stream."""
    found = []
    for glance, size in ((1.0, None), (0.5, None), (2.0, None), (1.0, LONG)):
        prices = Prices(glance=glance * Prices.glance)
        own = list(cases) if size is None else [cases[at] for at in _repeated(len(cases), size - stage.labels, seed=0)]
        ways = {
            "label everything": everything_labelled(stage, own, prices),
            "look at everything": everything_seen(stage, own, prices),
            "ours": ours(stage, cases, prices, size=size),
        }
        for name, way in ways.items():
            if way is not None:
                found.append(
                    {
                        "stream": stream.name,
                        "images": stage.labels + len(own),
                        "glance s": prices.glance,
                        "way": name,
                        "seconds": round(way.seconds),
                        "labels": round(way.labels),
                        "glances": round(way.glances),
                        "audits": round(way.audits),
                        "wrong at the end": way.wrong,
                        "certified": way.is_certified,
                    }
                )
    return found


def _repeated(count: int, size: int, *, seed: int) -> list[int]:
    return [int(at) for at in np.random.default_rng(seed).integers(count, size=size)]


def everything_labelled(stage: Stage, cases: Sequence[Case], prices: Prices) -> Finished:
    """Every mask is drawn."""
    count = stage.labels + len(cases)
    return Finished(prices.redraw * count, count, 0, 0, 0.0, True)


def everything_seen(stage: Stage, cases: Sequence[Case], prices: Prices) -> Finished:
    """The core is drawn, every other mask seen and mended where it is wrong."""
    mended = [prices.mending(case.wrong_outline) for case in cases if case.iou < T]
    seconds = prices.redraw * stage.labels + prices.glance * len(cases) + sum(mended)
    return Finished(seconds, stage.labels + len(mended), len(cases), 0, 0.0, True)


def ours(stage: Stage, cases: Sequence[Case], prices: Prices, *, size: int | None) -> Finished | None:
    """The mean over seeds of the holdout and the coins; None where there are too few images for a holdout."""
    if len(cases) < HOLDOUT + 20:
        return None
    seeds = range(SEEDS if size is None else SEEDS // 3)
    each = [done for seed in seeds if (done := one_seed(stage, cases, prices, seed, size=size)) is not None]
    names = ("seconds", "labels", "glances", "audits", "wrong")
    mean = {name: float(np.mean([getattr(done, name) for done in each])) for name in names} if each else None
    return None if mean is None else Finished(**mean, is_certified=all(done.is_certified for done in each))


def one_seed(stage: Stage, cases: Sequence[Case], prices: Prices, seed: int, *, size: int | None) -> Finished | None:
    """One draw of the holdout and of the coins."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(cases))
    holdout, rest = [cases[at] for at in order[:HOLDOUT]], [cases[at] for at in order[HOLDOUT:]]
    calibrator = fit_calibrator([Pair(case.again, case.iou) for case in holdout], below=T)
    if calibrator is None:  # hardly anything was predicted
        return None
    zone = GreyZone(threshold=T, share=Settings().grey_share)
    chosen = set(zone.choose([estimate.iou for estimate in calibrator.estimate([case.once for case in rest])]))
    total = stage.labels + len(cases) if size is None else size
    shown = list(range(len(rest))) if size is None else _repeated(len(rest), total - stage.labels - HOLDOUT, seed=seed)
    estimates = calibrator.estimate([case.again if at in chosen else case.once for at, case in enumerate(rest)])
    q = np.array([estimates[at].wrong for at in shown])
    bad = np.array([(rest[at].joined_iou if at in chosen else rest[at].iou) < T for at in shown])
    costs = np.array([prices.mending(rest[at].wrong_outline) for at in shown])
    typical = [prices.mending(case.wrong_outline) for case in holdout if case.iou < T]
    cut, rate = cheapest(q, total, prices.glance, float(np.mean(typical)) if typical else prices.redraw)
    queued, accepted = q > cut, q <= cut
    heads = accepted & (rng.random(len(q)) < rate)
    found = int((heads & bad).sum())
    left = bound([Audited(int(accepted.sum()), int(heads.sum()), found, 0, rate)]).left
    if left > WANTED * total:  # more was wrong than expected: look at the others too
        heads, found, left = accepted, int((accepted & bad).sum()), 0
    seen = queued | heads
    seconds = prices.redraw * stage.labels + sum(prices.mending(case.wrong_outline) for case in holdout)
    seconds += prices.glance * int(seen.sum()) + float(costs[seen & bad].sum())
    labels = stage.labels + HOLDOUT + int((seen & bad).sum())
    wrong = int((accepted & bad).sum()) - found
    return Finished(seconds, labels, int(queued.sum()), int(heads.sum()), wrong / total, left <= WANTED * total)


def cheapest(q: NDArray[np.float64], total: int, glance: float, mending: float) -> tuple[float, float]:
    """The chance to be wrong up to which masks are accepted, and the rate of the coins, that promise to cost least."""
    found = []
    for cut in CUTS:
        accepted = q <= cut
        rate = rate_for(int(accepted.sum()), float(q[accepted].sum()), total)
        seen = np.where(accepted, rate, 1.0)
        found.append((float((seen * (glance + q * mending)).sum()), cut, rate))
    _, cut, rate = min(found)
    return cut, rate


def rate_for(accepted: int, expected_wrong: float, total: int) -> float:
    """The lowest rate at which the certificate will do if as many masks are wrong as is expected."""
    for rate in RATES:
        found = math.ceil(rate * expected_wrong)
        if bound([Audited(accepted, math.ceil(rate * accepted), found, 0, rate)]).left <= WANTED * total:
            return rate
    return 1.0
