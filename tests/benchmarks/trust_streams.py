"""The streams of the trust benchmark: two or three rounds each, and what their models say of every image, kept on disk.

A stream is walked once: labels are drawn by lot for the first round, later ones are mostly what the model before was
least sure of, as a queue would have it. Models and looks (four orientations of every image) stay in the folder, so
that all figures can be made again from them in seconds, and a walk that was stopped goes on where it was.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from labeler import cascade, images, masks, ships, signals, views
from labeler.appearance import appearance
from labeler.bundle import Bundle
from labeler.calibration import Figures
from labeler.cascade import compared, figures_of, seen_again
from labeler.dataset import Sample
from labeler.driving import drain
from labeler.files import shipped, write_atomically
from labeler.inference import Predictor
from labeler.metrics import mean_iou
from labeler.records import Mask, Prediction
from labeler.settings import Settings
from labeler.ships import ShipsConfig
from labeler.training import TrainingJob, run_round

Say = Callable[[str], None]
STAGES = ("early", "mid", "late")
BY_LOT = 0.25  # of the later labels; the others are what the model before was least sure of
NOISE = (0.0, 25.0, 50.0)  # standard deviation added to the grey values of ships, in turn
CLIPS = ("cows", "goat", "parkour")  # the longest of the video clips
NEAR = 2  # pixels from the true outline within which nobody corrects an outline


@dataclass(frozen=True)
class Stage:
    """One round: labels in all and steps, and shares of the stream: it labels from the first ``labelled_from``, and is
    measured on what lies between ``measured_from`` and ``arrived`` and is not in its core.

    What is left of images that a queue has gone through is no sample of a stream: the hardest ones are gone.
    """

    name: str
    labels: int
    steps: int
    labelled_from: float = 1.0
    measured_from: float = 0.0
    arrived: float = 1.0


@dataclass(frozen=True)
class Stream:
    """Image and mask files in the order of their arrival, and the rounds."""

    name: str
    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    stages: tuple[Stage, ...]
    patch: int = 96
    model: Path | None = None  # that is asked instead of training one; four images stand for its core


@dataclass(frozen=True)
class Case:
    """What one model says of an image that it was not trained on, and the truth; IoUs are plain."""

    place: int  # in the stream
    once: Figures  # as seen once
    again: Figures  # with what three further orientations say
    iou: float  # of the mask as seen once
    joined_iou: float  # of what all four say together
    agreement: float  # mean pairwise IoU of the four
    wrong_outline: int  # pixels of outlines that a person would move, as seen once
    embedding: tuple[float, ...]


# -- which streams there are ----------------------------------------------------------------------------------


def real_stream(folder: Path, name: str, stages: Sequence[Stage], *, group: str = "", most: int = 10_000) -> Stream:
    """A set of image and mask files; by lot, but frames of a clip in the order of time."""
    with (folder / "index.csv").open(encoding="utf-8", newline="") as lines:
        stems = sorted(row["stem"] for row in csv.DictReader(lines) if not group or row["group"] == group)
    if not group:
        stems = [stems[at] for at in np.random.default_rng(0).permutation(len(stems))[:most]]
    found = [folder / "images" / f"{stem}.png" for stem in stems]
    return Stream(name, tuple(found), tuple(folder / "masks" / path.name for path in found), tuple(stages))


def ships_stream(folder: Path, count: int, stages: Sequence[Stage]) -> Stream:
    """Three levels of noise in turn, triangles in a quarter; from the middle on smaller ships and more triangles."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "masks").mkdir(exist_ok=True)
    found = []
    for at in range(count):
        path = folder / "images" / f"{at:05d}.png"
        found.append(path)
        if path.exists():
            continue
        drifted = at >= count // 2
        config = ShipsConfig(
            distractor="triangle" if at % (2 if drifted else 4) == 0 else "rectangle",
            radii=(6.0, 14.0) if drifted else (10.0, 20.0),
        )
        image, mask = ships.pair(np.random.default_rng((7, at)), config)
        noise = np.random.default_rng((8, at)).normal(0, NOISE[at % len(NOISE)], image.shape)
        pixels = np.clip(ships.as_uint8(image) + noise, 0, 255).astype(np.uint8)
        masks.save(folder / "masks" / path.name, mask, durable=False)
        write_atomically(path, images.encode(pixels), durable=False)
    return Stream("ships", tuple(found), tuple(folder / "masks" / path.name for path in found), tuple(stages))


def all_streams(data: Path | None, work: Path, *, quick: bool) -> list[Stream]:
    """Those of the table; without ``data`` only the generated one. ``quick``: two of them, fewer images and steps."""
    share = 0.4 if quick else 1.0

    def stages(labels: Sequence[int], steps: Sequence[int]) -> list[Stage]:
        names = STAGES if len(labels) == len(STAGES) else STAGES[::2]
        return [Stage(*each) for each in zip(names, labels, (round(share * count) for count in steps), strict=True)]

    early, mid, late = stages((12, 24, 48), (100, 150, 200))
    # The switch is in the middle of the stream: the second model meets it unprepared.
    drifting = [
        replace(early, labelled_from=0.4, arrived=0.5),
        replace(mid, labelled_from=0.5, measured_from=0.5),
        replace(late, labelled_from=0.7, measured_from=0.7),
    ]
    count = 240 if quick else 480
    generated = ships_stream(work / f"ships-{count}", count, drifting)
    ready = replace(
        generated, name="ships_shipped", stages=(Stage("late", 4, 0),), model=shipped("models/ships.safetensors")
    )
    if data is None:
        return [generated, ready]
    shown = 450 / 664
    nuclei = [
        replace(stage, labelled_from=shown, measured_from=shown)
        for stage in stages((12, 40, 120) if not quick else (12, 24, 40), (200, 500, 800))
    ]
    found = [real_stream(data / "dsb2018_nuclei", "dsb2018_nuclei", nuclei, most=240 if quick else 664)]
    found += [generated, ready]
    if quick:
        return found
    # Small sets are not worth a round in the middle.
    cells, tiles = stages((6, 40), (150, 250)), stages((10, 48), (500, 900))
    found.append(real_stream(data / "cells_usiigaci", "cells_usiigaci", cells))
    found.append(real_stream(data / "magnetic_tile", "magnetic_tile", tiles))
    clip = stages((2, 4), (120, 120))
    return found + [real_stream(data / "davis2016_stream", f"davis_{name}", clip, group=name) for name in CLIPS]


# -- walks ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Walk:
    """One stream in its folder."""

    stream: Stream
    folder: Path
    say: Say

    def cases(self, stage: Stage) -> list[Case]:
        """What the model of a stage says of the images that it is measured on; trains and looks if need be."""
        span = f"{stage.measured_from:.3f}-{stage.arrived:.3f}"
        kept = self.folder / f"{stage.name}-{span}-{_state_of_the_code()}.json"
        if not kept.exists():
            text = json.dumps([asdict(case) for case in self._make_cases(stage)])
            write_atomically(kept, text.encode(), durable=False)
        return [_case(values) for values in json.loads(kept.read_text("utf-8"))]

    def _make_cases(self, stage: Stage) -> list[Case]:
        looks, before = self._looks(stage), self._before(stage)
        earlier = {} if before is None else self._looks(before).masks()
        core = [appearance(images.load(self.stream.images[at])) for at in self.core(stage)]
        bundle = Bundle(None, Settings().threshold, looks.core, np.stack(core))
        first, found = round(stage.measured_from * len(self.stream.images)), []
        for place, planes, prediction in looks.of_each():
            if place < first:
                continue
            image = images.load(self.stream.images[place])
            (once,) = compared([image], [prediction], [earlier.get(place)], bundle, 1)
            truth = masks.load_reference(self.stream.masks[place], classes=1)
            further = [((plane >= 128).astype(np.uint8), plane) for plane in planes[1:]]
            again = seen_again(once, further, 1)
            found.append(
                Case(
                    place,
                    figures_of(once),
                    figures_of(again),
                    mean_iou(once.mask, truth),
                    mean_iou(again.mask, truth),
                    again.signals["view_iou_mean"],
                    wrong_outline(once.mask, truth),
                    tuple(round(float(value), 5) for value in looks.embeddings[place]),
                )
            )
        return found

    def core(self, stage: Stage) -> list[int]:
        """Places that a stage is trained on: those of the stage before, and mostly what that was least sure of."""
        path = self.folder / f"{stage.name}-core.json"
        if path.exists():
            return [int(at) for at in json.loads(path.read_text("utf-8"))]
        before, streamed = self._before(stage), round(stage.labelled_from * len(self.stream.images))
        rng = np.random.default_rng((1, self.stream.stages.index(stage)))
        known = [] if before is None else self.core(before)
        wanted, chosen = stage.labels - len(known), list(known)
        if before is not None:
            told = [(values[0] * values[1], at) for at, values in self._looks(before).figures.items() if at < streamed]
            chosen += [at for _, at in sorted(told)[: wanted - round(BY_LOT * wanted)]]
        lot = (int(at) for at in rng.permutation(streamed) if at not in chosen)
        chosen += [at for at, _ in zip(lot, range(stage.labels - len(chosen)), strict=False)]
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(chosen).encode(), durable=False)
        return chosen

    def _before(self, stage: Stage) -> Stage | None:
        at = self.stream.stages.index(stage)
        return self.stream.stages[at - 1] if at else None

    def _looks(self, stage: Stage) -> Looks:
        path = self.folder / f"{stage.name}.npz"
        if not path.exists():
            model = self.folder / f"{stage.name}.safetensors"
            if not model.exists():
                self._make(stage, model)
            self.say(f"{self.stream.name}, {stage.name}: looking")
            self._look(stage, Predictor.load(model, device="cpu"), path)
        return Looks.read(path)

    def _make(self, stage: Stage, model: Path) -> None:
        if self.stream.model is None:
            self.say(f"{self.stream.name}, {stage.name}: training on {stage.labels} labels, {stage.steps} steps")
            self._train(stage, model)
        else:
            self.core(stage)  # makes the folder
            shutil.copyfile(self.stream.model, model)

    def _train(self, stage: Stage, model: Path) -> None:
        samples = tuple(Sample(self.stream.images[at], self._classes(self.stream.masks[at])) for at in self.core(stage))
        settings = Settings(
            first_steps=stage.steps, patch=self.stream.patch, base_width=8, device="cpu", threads=1, scale=1.0
        )
        drain(run_round(TrainingJob(samples, (), model, settings, seed=0)))

    def _classes(self, path: Path) -> Path:
        target = self.folder / "masks" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        masks.save(target, masks.load_reference(path, classes=1), durable=False)
        return target

    def _look(self, stage: Stage, predictor: Predictor, path: Path) -> None:
        known = set(self.core(stage))
        places = [at for at in range(round(stage.arrived * len(self.stream.images))) if at not in known]
        figures, shapes, planes, embeddings = [], [], [], []
        for at in places:
            image = images.load(self.stream.images[at])
            (prediction,) = predictor.predict([image])
            seen = [prediction.probability, *(plane for _, plane in predictor.views([image])[0])]
            figures.append((prediction.soft_iou, prediction.stability, prediction.foreground))
            shapes.append(prediction.mask.shape)
            planes.append(np.stack([plane.ravel() for plane in seen]))
            embeddings.append(prediction.embedding)
        core = [predictor.predict([images.load(self.stream.images[at])])[0].embedding for at in sorted(known)]
        part = path.with_suffix(".part.npz")
        np.savez_compressed(
            part,
            places=np.array(places),
            figures=np.array(figures),
            shapes=np.array(shapes),
            planes=np.concatenate(planes, axis=1),
            embeddings=np.stack(embeddings),
            core=np.stack(core),
        )
        part.rename(path)


@dataclass(frozen=True)
class Looks:
    """The stored looks of one model: for each place four probabilities (H, W), the first as the image is."""

    figures: dict[int, tuple[float, float, float]]  # soft IoU, stability, foreground
    planes: dict[int, NDArray[np.uint8]]  # (4, H, W)
    embeddings: dict[int, NDArray[np.float32]]
    core: NDArray[np.float32]

    @classmethod
    def read(cls, path: Path) -> Looks:
        with np.load(path) as stored:
            places, shapes, planes = stored["places"], stored["shapes"], stored["planes"]
            ends = np.cumsum(shapes.prod(axis=1))
            parts = np.split(planes, ends[:-1], axis=1)
            return cls(
                {int(at): tuple(map(float, row)) for at, row in zip(places, stored["figures"], strict=True)},
                {
                    int(at): part.reshape(len(part), *shape)
                    for at, part, shape in zip(places, parts, shapes, strict=True)
                },
                dict(zip(map(int, places), stored["embeddings"], strict=True)),
                stored["core"],
            )

    def masks(self) -> dict[int, Mask]:
        return {at: (planes[0] >= 128).astype(np.uint8) for at, planes in self.planes.items()}

    def of_each(self) -> Any:
        """(place, planes, prediction as seen once) of each image."""
        for at, planes in self.planes.items():
            soft, stable, foreground = self.figures[at]
            mask = (planes[0] >= 128).astype(np.uint8)
            found = signals.signals_of(mask, planes[0])
            yield (
                at,
                planes,
                Prediction(mask, planes[0], soft * stable, soft, stable, foreground, found, self.embeddings[at]),
            )


def _state_of_the_code() -> str:
    """Changes with the code that makes figures of looks."""
    sources = [Path(module.__file__ or "").read_bytes() for module in (signals, views, cascade)]
    return hashlib.sha256(b"".join(sources)).hexdigest()[:10]


def _case(values: dict[str, Any]) -> Case:
    figures = {name: Figures(**values[name]) for name in ("once", "again")}
    return Case(**{**values, **figures, "embedding": tuple(values["embedding"])})


def wrong_outline(mask: Mask, truth: Mask) -> int:
    """Pixels of the true outline that are missed, and of the mask's that are nobody's, both by more than NEAR."""
    outlines = [plane - cv2.erode(plane, np.ones((3, 3), np.uint8)) for plane in (mask, truth)]
    near = [cv2.dilate(plane, np.ones((2 * NEAR + 1,) * 2, np.uint8)) for plane in outlines]
    return int((outlines[0] > near[1]).sum() + (outlines[1] > near[0]).sum())
