"""What a person spends on a stream until at most 2 % of its masks are wrong, certified."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from trust_streams import Case, Stage, Stream

from labeler.calibration import Pair, fit_calibrator
from labeler.certificate import Audited, bound
from labeler.settings import Settings
from labeler.views import GreyZone

T = Settings().wrong_below
WANTED = 0.02  # of all masks of the stream may be wrong, with 95 %
RATES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)  # of the coins, tried from the cheapest on
HOLDOUT = 40  # labels by lot that calibrate
SEEDS = 100  # of the coins
ABOUT = """The last model of each stream. *Label everything*: every image is drawn. *Look at everything*: the core is
drawn, each other mask gets a glance, and what is wrong is corrected. *Ours*: the core and 40 labels by lot for the
holdout; what has a calibrated IoU below t waits, gets a glance and, if it is wrong, a correction; the others are
accepted, and audits by secret coins (a glance each, the wrong ones mended) go on until the certificate says that at
most 2 % of the stream's masks are wrong. The rate of the coins is fixed before, by what the calibrator expects; where
the certificate falls short, everything accepted is looked at. Glance 2.5 s; correction 5 s and 3 s for 15 pixels of
wrong outline, at most a redraw of 25 s; and all of it halved and doubled. A person who is handed a mask with an IoU of
at least t leaves it. Means of 100 seeds; *wrong at the end* is the true share of wrong masks of the stream."""
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

    def times(self, factor: float) -> Prices:
        """All of them, larger or smaller."""
        return Prices(*(factor * price for price in (self.glance, self.correction, self.outline, self.redraw)))


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
    """A row for each way, with the prices as they are, at half and double."""
    found = []
    for factor in (1.0, 0.5, 2.0):
        prices = Prices().times(factor)
        ways = {
            "label everything": everything_labelled(stage, cases, prices),
            "look at everything": everything_seen(stage, cases, prices),
            "ours": ours(stage, cases, prices),
        }
        for name, way in ways.items():
            if way is not None:
                found.append(
                    {
                        "stream": stream.name,
                        "prices": f"x {factor:g}",
                        "way": name,
                        "seconds": round(way.seconds),
                        "labels": round(way.labels, 1),
                        "glances": round(way.glances, 1),
                        "audits": round(way.audits, 1),
                        "wrong at the end": way.wrong,
                        "certified": way.is_certified,
                    }
                )
    return found


def everything_labelled(stage: Stage, cases: Sequence[Case], prices: Prices) -> Finished:
    """Every mask is drawn."""
    count = stage.labels + len(cases)
    return Finished(prices.redraw * count, count, 0, 0, 0.0, True)


def everything_seen(stage: Stage, cases: Sequence[Case], prices: Prices) -> Finished:
    """The core is drawn, every other mask seen and mended where it is wrong."""
    mended = [prices.mending(case.wrong_outline) for case in cases if case.iou < T]
    seconds = prices.redraw * stage.labels + prices.glance * len(cases) + sum(mended)
    return Finished(seconds, stage.labels + len(mended), len(cases), 0, 0.0, True)


def ours(stage: Stage, cases: Sequence[Case], prices: Prices) -> Finished | None:
    """The mean over seeds of the holdout and the coins; None where there are too few images for a holdout."""
    if len(cases) < HOLDOUT + 20:
        return None
    each = [done for seed in range(SEEDS) if (done := one_seed(stage, cases, prices, seed)) is not None]
    names = ("seconds", "labels", "glances", "audits", "wrong")
    mean = {name: float(np.mean([getattr(done, name) for done in each])) for name in names} if each else None
    return None if mean is None else Finished(**mean, is_certified=all(done.is_certified for done in each))


def one_seed(stage: Stage, cases: Sequence[Case], prices: Prices, seed: int) -> Finished | None:
    """One draw of the holdout and of the coins."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(cases))
    holdout, rest = [cases[at] for at in order[:HOLDOUT]], [cases[at] for at in order[HOLDOUT:]]
    calibrator = fit_calibrator([Pair(case.again, case.iou) for case in holdout], below=T)
    if calibrator is None:  # hardly anything was predicted
        return None
    zone = GreyZone(threshold=T, share=Settings().grey_share)
    chosen = set(zone.choose([estimate.iou for estimate in calibrator.estimate([case.once for case in rest])]))
    seen = [case.again if at in chosen else case.once for at, case in enumerate(rest)]
    ious = [case.joined_iou if at in chosen else case.iou for at, case in enumerate(rest)]
    estimates = calibrator.estimate(seen)
    accepted = [at for at, estimate in enumerate(estimates) if estimate.iou >= T]
    queued = sorted(set(range(len(rest))) - set(accepted))
    mended = [at for at in queued if ious[at] < T]
    seconds = prices.redraw * stage.labels + sum(prices.mending(case.wrong_outline) for case in holdout)
    seconds += prices.glance * len(queued) + sum(prices.mending(rest[at].wrong_outline) for at in mended)
    total = stage.labels + len(cases)
    rate = rate_for(len(accepted), sum(estimates[at].wrong for at in accepted), total)
    heads = [at for at in accepted if rng.random() < rate]
    found = [at for at in heads if ious[at] < T]
    left = bound([Audited(len(accepted), len(heads), len(found), 0, rate)]).left
    if left > WANTED * total:  # the coins were dearer than expected: look at the others too
        heads, found, left = accepted, [at for at in accepted if ious[at] < T], 0
    seconds += prices.glance * len(heads) + sum(prices.mending(rest[at].wrong_outline) for at in found)
    wrong = sum(ious[at] < T for at in accepted) - len(found)
    labels = stage.labels + HOLDOUT + len(mended) + len(found)
    return Finished(seconds, labels, len(queued), len(heads), wrong / total, left <= WANTED * total)


def rate_for(accepted: int, expected_wrong: float, total: int) -> float:
    """The lowest rate at which the certificate will do if as many masks are wrong as is expected."""
    for rate in RATES:
        found = math.ceil(rate * expected_wrong)
        if bound([Audited(accepted, math.ceil(rate * accepted), found, 0, rate)]).left <= WANTED * total:
            return rate
    return 1.0
