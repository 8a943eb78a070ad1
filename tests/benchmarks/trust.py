"""How far confidences and certificates can be trusted, on ships and real sets.

    python tests/benchmarks/trust.py --out DIR [--quick] [--data FOLDER] [--part seeds|confidence] [--set ships]

``seeds``: the violation rate of the certificate over seeds of the coins, with and without drift and retraining, the
bound less the truth, and the audits. ``confidence``: how well soft IoU alone, the agreement of four views alone, and
ours (calibrated, views for the least certain fifth only) tell masks with an IoU below t, at which cost; and how much
can be accepted with at most 1 % truly wrong. Half of each set's images that were not trained on calibrate, the other
half is measured, and the other way round; the row is over both. DIR gets ``trust.md`` and ``trust.json``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from labeler import images, masks, ships
from labeler.bundle import Bundle
from labeler.calibration import Pair, fit_calibrator
from labeler.cascade import compared, figures_of, holdout_pair, looked_at
from labeler.dataset import Sample
from labeler.driving import drain
from labeler.files import shipped
from labeler.inference import Predictor
from labeler.metrics import mean_iou
from labeler.records import Image, Mask, Prediction
from labeler.settings import Settings
from labeler.ships import ShipsConfig
from labeler.studies.audit_seeds import STORIES, audited_stream
from labeler.studies.report import markdown_table
from labeler.training import TrainingJob, run_round
from labeler.views import FEW, GreyZone, agreement

T = Settings().wrong_below
GREY = Settings().grey_share
SETS = ("dsb2018_nuclei", "cells_usiigaci", "magnetic_tile")
LABELS = 24  # that the weak net of a real set is trained on
NOISE = {"low": 0.0, "middle": 25.0, "high": 50.0}  # standard deviation added to the grey values of ships
Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """An image that the net was not trained on, its mask, the net's prediction and its views."""

    image: Image
    mask: Mask
    prediction: Prediction
    iou: float
    agreement: float


# Violations of the certificate


def seeds_table(count: int) -> list[Row]:
    """One row for each story."""
    rows = []
    for story in STORIES:
        runs = [audited_stream(seed, story) for seed in range(count)]
        slack = [run.bound - run.wrong_left for run in runs]
        rows.append(
            {
                "story": story,
                "seeds": count,
                "violation rate": sum(run.is_broken for run in runs) / count,
                "wrong left, mean": float(np.mean([run.wrong_left for run in runs])),
                "bound, mean": float(np.mean([run.bound for run in runs])),
                "bound - truth, median": float(np.median(slack)),
                "audits, mean": float(np.mean([run.audits for run in runs])),
                "accepted": runs[0].accepted,
                "alarms": sum(run.alarms for run in runs),
            }
        )
    return rows


# Confidence


def cases_of(predictor: Predictor, pairs: Sequence[tuple[Image, Mask]]) -> list[Case]:
    """Predict with four views each, so that every way to score can be compared on the same masks."""
    found = []
    for image, mask in pairs:
        (prediction,) = predictor.predict([image])
        views = [prediction.mask, *(view for view, _ in predictor.views([image])[0])]
        mean, _ = agreement(views, classes=predictor.classes)
        found.append(Case(image, mask, prediction, mean_iou(prediction.mask, mask, classes=predictor.classes), mean))
    return found


def ours(predictor: Predictor, known: Sequence[Case], fresh: Sequence[Case]) -> tuple[list[tuple[float, float]], float]:
    """(calibrated IoU, P(IoU < t)) of fresh cases by a calibrator of the known ones, and forwards per image."""
    plain = Bundle(None, T)
    pairs = [_pair(predictor, case, plain) for case in known]
    calibrator = fit_calibrator(pairs, below=T)
    if calibrator is None:
        raise SystemExit(f"{len(known)} cases are too few to calibrate with")
    bundle, zone = Bundle(calibrator, T), GreyZone(threshold=T, share=GREY)
    seen: list[Prediction] = []
    for start in range(0, len(fresh), 16):  # as a job does: a batch at a time
        batch = fresh[start : start + 16]
        cheap = compared([case.prediction for case in batch], [None] * len(batch), bundle, predictor.classes)
        seen += looked_at(predictor, [case.image for case in batch], cheap, zone, bundle)
    looks = sum("view_iou_min" in prediction.signals for prediction in seen)
    estimates = calibrator.estimate([figures_of(prediction) for prediction in seen])
    return [(estimate.iou, estimate.wrong) for estimate in estimates], 1 + (FEW - 1) * looks / len(fresh)


def _pair(predictor: Predictor, case: Case, bundle: Bundle) -> Pair:
    return holdout_pair(predictor, case.image, case.mask, case.prediction, previous=None, bundle=bundle, seen=1.0)


def confidence_rows(name: str, predictor: Predictor, cases: Sequence[Case], rng: np.random.Generator) -> list[Row]:
    """A row for each way to score; ours is fitted on one half and measured on the other, both ways round."""
    order = rng.permutation(len(cases))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    estimated = np.zeros((len(cases), 2))
    forwards = []
    for known, fresh in (halves, halves[::-1]):
        found, cost = ours(predictor, [cases[i] for i in known], [cases[i] for i in fresh])
        estimated[fresh] = found
        forwards.append(cost)
    truth = np.array([case.iou for case in cases])
    soft = np.array([case.prediction.soft_iou for case in cases])
    views = np.array([case.agreement for case in cases])
    return [
        scored(name, "soft IoU alone", soft, 1 - soft, truth, 1.0),
        scored(name, "agreement of 4 views alone", views, 1 - views, truth, float(FEW)),
        scored(name, "ours", estimated[:, 0], estimated[:, 1], truth, float(np.mean(forwards))),
    ]


Floats = NDArray[np.float64]


def scored(name: str, way: str, iou: Floats, wrong: Floats, truth: Floats, forwards: float) -> Row:
    """Every figure of one way to score: ``iou`` predicted, ``wrong`` the score of IoU < t, ``truth`` the true IoU."""
    bad = truth < T
    both = 0 < bad.sum() < len(bad)
    return {
        "set": name,
        "score": way,
        "images": len(truth),
        "wrong": float(bad.mean()),
        "AUROC": float(roc_auc_score(bad, wrong)) if both else None,
        "AUPRC": float(average_precision_score(bad, wrong)) if both else None,
        "Spearman": float(spearmanr(iou, truth).statistic) if np.ptp(iou) and np.ptp(truth) else None,
        "MAE": float(np.abs(iou - truth).mean()),
        "AURC": area_under_risk(wrong, 1 - truth),
        "ECE of q": calibration_error(wrong, bad) if way == "ours" else None,
        "forwards": forwards,
        "coverage at 1 % wrong": coverage(wrong, bad),
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


def ships_pairs(count: int, seed: int) -> list[tuple[Image, Mask]]:
    """Three levels of noise in turn; every fourth image has a triangle for a distractor."""
    rng, found = np.random.default_rng(seed), []
    levels = list(NOISE.values())
    for index in range(count):
        config = ShipsConfig(distractor="triangle" if index % 4 == 0 else "rectangle")
        image, mask = ships.pair(np.random.default_rng((seed, index)), config)
        noisy = ships.as_uint8(image) + rng.normal(0, levels[index % len(levels)], image.shape)
        found.append((np.clip(noisy, 0, 255).astype(np.uint8), mask))
    return found


def real_pairs(folder: Path, count: int, rng: np.random.Generator) -> list[tuple[Path, Path]]:
    """Image and mask files, at most ``count``, in a random order."""
    found = sorted((folder / "images").glob("*.png"))
    chosen = rng.permutation(len(found))[:count]
    return [(found[i], folder / "masks" / found[i].name) for i in chosen]


def weak_net(pairs: Sequence[tuple[Path, Path]], work: Path, *, steps: int) -> Predictor:
    """A net of a few steps on a few labels: what a stream starts with."""
    samples = tuple(Sample(image, _classes(mask, work)) for image, mask in pairs)
    settings = Settings(first_steps=steps, patch=96, base_width=8, device="cpu")
    job = TrainingJob(samples, (), work / "weak.safetensors", settings, seed=0)
    drain(run_round(job))
    return Predictor.load(job.output, device="cpu")


def _classes(path: Path, work: Path) -> Path:
    target = work / path.name
    masks.save(target, masks.load_reference(path, classes=1), durable=False)
    return target


def confidence_table(data: Path | None, names: Sequence[str], *, quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Ships with the shipped net, then the real sets with a weak one each."""
    rng = np.random.default_rng(0)
    sets: list[tuple[str, Predictor, list[tuple[Image, Mask]]]] = []
    if "ships" in names:
        net = Predictor.load(shipped("models/ships.safetensors"), device="cpu")
        sets.append(("ships", net, ships_pairs(240 if quick else 900, 7)))
    for name in (name for name in names if name in SETS):
        if data is None or not (data / name).is_dir():
            say(f"{name}: not there, left out")
            continue
        files = real_pairs(data / name, LABELS + (100 if quick else 400), rng)
        with tempfile.TemporaryDirectory() as work:
            net = weak_net(files[:LABELS], Path(work), steps=80 if quick else 400)
        read = [(images.load(image), masks.load_reference(mask, classes=1)) for image, mask in files[LABELS:]]
        sets.append((name, net, read))
    rows = []
    for name, predictor, pairs in sets:
        rows += confidence_rows(name, predictor, cases_of(predictor, pairs), rng)
        say(f"{name}: {len(pairs)} images")
    return rows


def table(rows: Sequence[Row]) -> str:
    """Markdown of rows."""
    head = list(rows[0])
    return markdown_table(head, [[row[name] for name in head] for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[3] / "shared" / "data")
    parser.add_argument("--quick", action="store_true", help="fewer images and steps: under 10 minutes")
    parser.add_argument("--part", choices=("seeds", "confidence"), action="append")
    parser.add_argument("--set", choices=("ships", *SETS), action="append")
    asked = parser.parse_args()
    parts, started = asked.part or ["seeds", "confidence"], time.monotonic()
    found: dict[str, list[Row]] = {}
    text = ["# Trust", f"IoU is plain; a mask is wrong below {T}; alpha is 5 %."]
    if "seeds" in parts:
        found["seeds"] = seeds_table(300)
        text += ["## The certificate over seeds of the coins", table(found["seeds"])]
    if "confidence" in parts:
        data = asked.data if asked.data.is_dir() else None
        names = asked.set or ["ships", *(SETS[:1] if asked.quick else SETS)]
        found["confidence"] = confidence_table(data, names, quick=asked.quick, say=print)
        text += ["## Telling wrong masks", table(found["confidence"])]
    text.append(f"{time.monotonic() - started:.0f} s{', --quick' if asked.quick else ''}.")
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "trust.md").write_text("\n\n".join(text) + "\n", "utf-8")
    (asked.out / "trust.json").write_text(json.dumps(found, indent=2), "utf-8")
    print("\n\n".join(text))


if __name__ == "__main__":
    main()
