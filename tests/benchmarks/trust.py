"""How far confidences and certificates can be trusted, on ships and real sets.

    python tests/benchmarks/trust.py --out DIR [--quick] [--data FOLDER] [--part confidence|seconds|seeds]
        [--stream NAME ...]

``confidence``: how well soft IoU alone, the agreement of four views alone and ours tell masks with an IoU below t, at
which cost, early, in the middle and late in each stream, and how much can be accepted with at most 1 % truly wrong.
``seconds``: what a person spends on a stream until at most 2 % of its masks are wrong, certified. ``seeds``: how often
the certificate fails over seeds of the coins, with and without drift and retraining. Walks stay below DIR: a command
that was stopped goes on, and figures are made again in a minute. DIR gets ``trust.md``, ``trust.json`` and plots.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import trust_seconds
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score
from trust_streams import Case, Walk, all_streams

from labeler import cascade
from labeler.calibration import Calibrator, Figures, Pair, fit_calibrator
from labeler.settings import Settings
from labeler.studies.audit_seeds import STORIES, AuditedStream, audited_stream
from labeler.studies.charts import Axis, Line, chart
from labeler.studies.report import markdown_table
from labeler.views import FEW, GreyZone

T, GREY = Settings().wrong_below, Settings().grey_share
DRAWS = 20  # of the pairs that calibrate; a row is the mean over them
PAIRS = (40, 120)  # that calibrate, drawn by lot from the stream; the others are measured
FEWEST_LEFT = 20  # images that must be left to measure, below which a number of pairs is not tried
SPLITS = 0.1  # of the masks at least must be right, and as many wrong, for t to be the one of the settings
FEWEST_HALVED = 70  # images whose halves still calibrate
CURVE = np.linspace(0.05, 1, 96)  # coverages of the plots
Row = dict[str, Any]
Floats = NDArray[np.float64]


# -- confidence -----------------------------------------------------------------------------------------------


def below_of(cases: Sequence[Case]) -> float:
    """The IoU t below which a mask is wrong: that of the settings, or the median where nearly all or none would be."""
    ious = np.array([case.iou for case in cases])
    return T if SPLITS <= (ious < T).mean() <= 1 - SPLITS else float(np.median(ious))


def confidence_rows(name: str, stage: str, cases: Sequence[Case]) -> list[Row]:
    """A row for each way to score the masks as seen once."""
    truth, t = np.array([case.iou for case in cases]), below_of(cases)
    soft = np.array([case.once.soft_iou for case in cases])
    views = np.array([case.agreement for case in cases])
    plain, forwards = uncalibrated(cases)
    rows = [
        scored("soft IoU alone", soft, 1 - soft, truth, 1.0, t=t),
        scored("agreement of 4 views alone", views, 1 - views, truth, float(FEW), t=t),
        scored("ours, not calibrated yet", plain, 1 - plain, truth, forwards, t=t),
    ]
    for count in PAIRS:
        draws = [drawn(cases, count, seed, t) for seed in range(DRAWS)] if len(cases) - count >= FEWEST_LEFT else []
        if rows_of_draws := [row for row in draws if row is not None]:
            rows.append(mean_row(f"ours, {count} pairs", rows_of_draws))
    if len(cases) >= FEWEST_HALVED:
        iou, wrong, forwards = in_halves(cases, t)
        rows.append(scored(f"ours, {len(cases) // 2} pairs", iou, wrong, truth, forwards, t=t, is_chance=True))
    return [{"stream": name, "stage": stage, **row} for row in rows]


def looked(figures: Sequence[Case], zone: GreyZone, calibrator: Calibrator | None) -> tuple[list[Figures], float]:
    """Figures of each case, with views for those of the grey zone, as a job does it; and forwards per image."""
    told: list[Figures] = []
    for start in range(0, len(figures), 16):
        batch = figures[start : start + 16]
        cheap = [cascade.uncalibrated(case.once) for case in batch]
        if calibrator is not None:
            cheap = [estimate.iou for estimate in calibrator.estimate([case.once for case in batch])]
        chosen = set(zone.choose(cheap))
        told += [case.again if at in chosen else case.once for at, case in enumerate(batch)]
    looks = sum(item.has_views for item in told)
    return told, 1 + (FEW - 1) * looks / len(figures)


def uncalibrated(cases: Sequence[Case]) -> tuple[Floats, float]:
    """What the gate compares with the threshold below 30 pairs."""
    told, forwards = looked(cases, GreyZone(threshold=T, share=GREY), None)
    return np.array([cascade.uncalibrated(item) for item in told]), forwards


def estimated(
    cases: Sequence[Case], known: Sequence[int], fresh: Sequence[int], t: float
) -> tuple[Floats, Floats, float] | None:
    """(calibrated IoU, P(IoU < t)) of the fresh ones by a calibrator of the known ones, and forwards per image."""
    pairs = [Pair(cases[at].again, cases[at].iou) for at in known]
    calibrator = fit_calibrator(pairs, below=t)
    if calibrator is None:
        return None
    told, forwards = looked([cases[at] for at in fresh], GreyZone(threshold=t, share=GREY), calibrator)
    estimates = calibrator.estimate(told)
    return np.array([e.iou for e in estimates]), np.array([e.wrong for e in estimates]), forwards


def drawn(cases: Sequence[Case], count: int, seed: int, t: float) -> Row | None:
    """One draw of the calibrating pairs, measured on the other images."""
    order = np.random.default_rng(seed).permutation(len(cases))
    known, fresh = order[:count], np.sort(order[count:])
    if (found := estimated(cases, known, fresh, t)) is None:
        return None
    iou, wrong, forwards = found
    return scored("", iou, wrong, np.array([cases[at].iou for at in fresh]), forwards, t=t, is_chance=True)


def in_halves(cases: Sequence[Case], t: float) -> tuple[Floats, Floats, float]:
    """As ``estimated``, of all: calibrated on one half and measured on the other, both ways round."""
    order = np.random.default_rng(0).permutation(len(cases))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    iou, wrong, forwards = np.zeros(len(cases)), np.zeros(len(cases)), []
    for known, fresh in (halves, halves[::-1]):
        found = estimated(cases, known, np.sort(fresh), t)
        assert found is not None
        iou[np.sort(fresh)], wrong[np.sort(fresh)] = found[:2]
        forwards.append(found[2])
    return iou, wrong, float(np.mean(forwards))


def mean_row(score: str, rows: Sequence[Row]) -> Row:
    """The mean of each figure over the rows that have it."""
    mean: Row = {"score": score, "images": rows[0]["images"]}
    for name in list(rows[0])[2:]:
        known = [row[name] for row in rows if row[name] is not None]
        mean[name] = float(np.mean(known)) if known else None
    return mean


def scored(
    score: str, iou: Floats, wrong: Floats, truth: Floats, forwards: float, *, t: float, is_chance: bool = False
) -> Row:
    """Every figure of one way to score: ``iou`` predicted, ``wrong`` the score of IoU < t, ``truth`` the true IoU."""
    bad = truth < t
    both = 0 < bad.sum() < len(bad)
    clear = np.abs(truth - t) > 0.03
    beyond = roc_auc_score(bad[clear], wrong[clear]) if 0 < bad[clear].sum() < clear.sum() else None
    return {
        "score": score,
        "images": len(truth),
        "t": t,
        "wrong": float(bad.mean()),
        "AUROC": float(roc_auc_score(bad, wrong)) if both else None,
        "AUPRC": float(average_precision_score(bad, wrong)) if both else None,
        "Spearman": float(spearmanr(iou, truth).statistic) if np.ptp(iou) and np.ptp(truth) else None,
        "MAE": float(np.abs(iou - truth).mean()),
        "AURC": area_under_risk(wrong, 1 - truth),
        "ECE of q": calibration_error(wrong, bad) if is_chance else None,
        "forwards": forwards,
        "coverage at 1 % wrong": coverage(wrong, bad),
        "AUROC beyond t ± 0.03": None if beyond is None else float(beyond),
    }


def area_under_risk(wrong: Floats, loss: Floats) -> float:
    """Mean over all coverages of the mean 1 - IoU of what is accepted, the surest first."""
    ordered = loss[np.argsort(wrong, kind="stable")]
    return float((np.cumsum(ordered) / np.arange(1, len(ordered) + 1)).mean())


def calibration_error(q: Floats, bad: NDArray[np.bool_], *, bins: int = 10) -> float:
    """Mean distance of the chance to be wrong from the share that is, over equally wide bins, weighted."""
    place = np.minimum((q * bins).astype(int), bins - 1)
    gaps = [abs(q[place == b].mean() - bad[place == b].mean()) * (place == b).mean() for b in np.unique(place)]
    return float(sum(gaps))


def coverage(wrong: Floats, bad: NDArray[np.bool_], *, share: float = 0.01) -> float:
    """The largest share that can be accepted, the surest first, with at most ``share`` of it truly wrong.

    The threshold is the best one in hindsight, for every way to score alike.
    """
    risk = np.cumsum(bad[np.argsort(wrong, kind="stable")]) / np.arange(1, len(bad) + 1)
    fine = np.flatnonzero(risk <= share)
    return float((fine[-1] + 1) / len(bad)) if len(fine) else 0.0


def better_than_both(rows: Sequence[Row]) -> str:
    """In which streams and stages ours has a higher AUROC than either single signal."""
    lines = []
    for stage in dict.fromkeys((row["stream"], row["stage"]) for row in rows):
        own = [row for row in rows if (row["stream"], row["stage"]) == stage and row["AUROC"] is not None]
        single = max((row["AUROC"] for row in own if not row["score"].startswith("ours")), default=None)
        ours = [row for row in own if row["score"].startswith("ours")]
        if single is not None and ours:
            best = ours[-1]
            said = "better" if best["AUROC"] > single else "not better"
            lines.append((*stage, single, best["score"], best["AUROC"], said))
    return markdown_table(("stream", "stage", "better single signal", "ours", "AUROC", ""), lines)


# -- violations of the certificate ----------------------------------------------------------------------------


def seeds_rows(count: int) -> tuple[list[Row], dict[str, list[AuditedStream]]]:
    """One row for each story, and the runs."""
    runs = {story: [audited_stream(seed, story) for seed in range(count)] for story in STORIES}
    rows = [
        {
            "story": story,
            "seeds": count,
            "violation rate": sum(run.is_broken for run in found) / count,
            "wrong left, mean": float(np.mean([run.wrong_left for run in found])),
            "bound, mean": float(np.mean([run.bound for run in found])),
            "bound - truth, median": float(np.median([run.bound - run.wrong_left for run in found])),
            "audits, mean": float(np.mean([run.audits for run in found])),
            "accepted": found[0].accepted,
            "alarms": sum(run.alarms for run in found),
        }
        for story, found in runs.items()
    ]
    return rows, runs


# -- report ---------------------------------------------------------------------------------------------------


def table(rows: Sequence[Row]) -> str:
    """Markdown of rows."""
    head = list(rows[0])
    return markdown_table(head, [[row.get(name) for name in head] for row in rows])


def plot_seeds(runs: dict[str, list[AuditedStream]], out: Path) -> None:
    lines = []
    for story, found in runs.items():
        slack = sorted(run.bound - run.wrong_left for run in found)
        lines.append(Line(story, slack, list(np.linspace(0, 1, len(slack)))))
    x, y = Axis("bound less the truth, masks", low=0), Axis("share of seeds", is_share=True, low=0, high=1)
    chart("How far the certificate is above the truth", lines, x=x, y=y).save(out / "seeds.png")


def plot_risk(name: str, stage: str, cases: Sequence[Case], out: Path) -> None:
    """Share of wrong masks among the accepted, against how much is accepted."""
    bad = np.array([case.iou for case in cases]) < below_of(cases)
    scores = {
        "soft IoU alone": np.array([1 - case.once.soft_iou for case in cases]),
        "agreement of 4 views alone": np.array([1 - case.agreement for case in cases]),
    }
    if len(cases) >= FEWEST_HALVED:
        scores["ours"] = in_halves(cases, below_of(cases))[1]
    lines = []
    for label, wrong in scores.items():
        risk = np.cumsum(bad[np.argsort(wrong, kind="stable")]) / np.arange(1, len(bad) + 1)
        lines.append(Line(label, list(CURVE), [float(risk[max(0, round(c * len(bad)) - 1)]) for c in CURVE]))
    x, y = Axis("accepted", is_share=True, low=0, high=1), Axis("wrong among the accepted", is_share=True, low=0)
    chart(f"{name}, {stage}", lines, x=x, y=y).save(out / f"risk-{name}-{stage}.png")


def main() -> None:
    """Walk what has not been walked yet, then make all figures."""
    asked, started = parsed(), time.monotonic()
    asked.out.mkdir(parents=True, exist_ok=True)
    parts = asked.part or ["confidence", "seconds", "seeds"]
    found: dict[str, list[Row]] = {}
    text = ["# Trust", f"IoU is plain; a mask is wrong below t, {T} where that tells any apart; alpha is 5 %."]
    if {"confidence", "seconds"} & set(parts):
        confidence, seconds = stream_rows(asked, parts)
        if confidence:
            found["confidence"] = confidence
            text += ["## Telling wrong masks", table(confidence), "### Against the better single signal"]
            text.append(better_than_both(confidence))
        if seconds:
            found["seconds"] = seconds
            text += ["## Seconds of a person", trust_seconds.ABOUT, table(seconds)]
    if "seeds" in parts:
        found["seeds"], runs = seeds_rows(300)
        plot_seeds(runs, asked.out)
        text += ["## The certificate over seeds of the coins", table(found["seeds"]), "![bound less truth](seeds.png)"]
    text.append(f"{time.monotonic() - started:.0f} s{', --quick' if asked.quick else ''}.")
    (asked.out / "trust.md").write_text("\n\n".join(text) + "\n", "utf-8")
    (asked.out / "trust.json").write_text(json.dumps(found, indent=2), "utf-8")
    print("\n\n".join(text))


def stream_rows(asked: argparse.Namespace, parts: Sequence[str]) -> tuple[list[Row], list[Row]]:
    """Figures of each stream and stage; those of a person's seconds for the last stage."""
    confidence: list[Row] = []
    seconds: list[Row] = []
    work = asked.out / ("walks-quick" if asked.quick else "walks")
    data = asked.data if asked.data.is_dir() else None
    for stream in all_streams(data, work, quick=asked.quick):
        if asked.stream and stream.name not in asked.stream:
            continue
        walk = Walk(stream, work / stream.name, say)
        for stage in stream.stages:
            cases = walk.cases(stage)
            if "confidence" in parts:
                confidence += confidence_rows(stream.name, stage.name, cases)
                plot_risk(stream.name, stage.name, cases, asked.out)
            say(f"{stream.name}, {stage.name}: {len(cases)} images")
        if "seconds" in parts:
            seconds += trust_seconds.rows(stream, stream.stages[-1], cases)
    return confidence, seconds


def say(text: str) -> None:
    """A line at once."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beside = Path(__file__).parents[3] / "shared" / "data"
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LABELER_DATA", beside)))
    parser.add_argument("--quick", action="store_true", help="two streams, fewer images and steps: under 10 minutes")
    parser.add_argument("--part", choices=("confidence", "seconds", "seeds"), action="append")
    parser.add_argument("--stream", action="append", help="only these")
    return parser.parse_args()


if __name__ == "__main__":
    main()
