"""Prediction: an immutable predictor, and the job that predicts files of a project."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from labeler import checkpoint, images, masks
from labeler.appearance import appearance
from labeler.bundle import Bundle
from labeler.cascade import Planes, compared, looked_at, remembered, stands
from labeler.confidence import planes_of, predictions_of
from labeler.dataset import network_input, resized
from labeler.device import Pace, autocast_dtype, choose_device, is_out_of_memory, release_memory
from labeler.errors import CheckpointError, LabelerError, MaskError
from labeler.files import prediction_paths
from labeler.networks import FoldedUNet, ResidualUNet
from labeler.records import Elder, Embedding, Image, Mask, Prediction, PredictionRecord
from labeler.views import FEW, VIEWS, GreyZone, disagreement, unwarped, warped

BATCH_PIXELS = 16 * 128 * 128  # what a batch computes stays in a processor's caches: twice as many took 6 % longer each
TILE = 768  # sides of the tiles of an image that is larger than LARGEST
OVERLAP = 64
LARGEST = 1024 * 1024
T = TypeVar("T")


class Predictor:
    """A model version, ready to predict; its answers never change."""

    def __init__(
        self, network: ResidualUNet, *, version: int = 0, device: str = "auto", scale: float | None = None
    ) -> None:
        """``scale`` (1 for images that are at the working scale already) replaces that of the network."""
        self.version = version
        self.classes = network.config.classes
        self.channels = network.config.in_channels
        self.scale = network.config.scale if scale is None else scale
        self.device = choose_device(device)
        self.dtype = autocast_dtype(self.device) or torch.float32
        self._pace = Pace()
        self._zones: dict[tuple[float, float], GreyZone] = {}
        self._elders: dict[Elder, Predictor | None] = {}
        self._network = FoldedUNet(network.eval(), device=self.device, dtype=self.dtype)

    @classmethod
    def load(cls, path: Path, *, version: int = 0, sha256: str | None = None, device: str = "auto") -> Predictor:
        """The predictor of a model file; CheckpointError where it cannot be used."""
        return cls(checkpoint.load(path, sha256=sha256).network(), version=version, device=device)

    def predict(self, batch: Sequence[Image]) -> list[Prediction]:
        """One prediction for each image (H, W) or (H, W, 3), uint8 or uint16, in the order given."""
        return self._answers(batch, predictions_of)

    def views(self, batch: Sequence[Image]) -> list[list[Planes]]:
        """For each image the masks and probabilities of further orientations, brought back: 3, or 7 on a GPU."""
        chosen = VIEWS[1:] if self.is_fast else VIEWS[1:FEW]
        seen = iter(self._answers([warped(image, view) for image in batch for view in chosen], planes_of))
        return [[_unwarped_planes(next(seen), view) for view in chosen] for _ in batch]

    def grey_zone(self, *, threshold: float, share: float) -> GreyZone:
        """Which of this model's predictions are worth a second look; it knows those of earlier jobs. All on a GPU."""
        share = 1.0 if self.is_fast else share
        return self._zones.setdefault((threshold, share), GreyZone(threshold=threshold, share=share))

    @property
    def is_fast(self) -> bool:
        """Whether further looks cost next to nothing: then every image gets all of them."""
        return self.device.type == "cuda"

    def before(self, image: Image, elders: Sequence[Elder]) -> list[Mask]:
        """The masks that earlier versions give an image: the newest one's, all of them on a GPU."""
        for elder in elders:
            if elder not in self._elders:
                self._elders[elder] = _loaded(elder, device=str(self.device))
        known = [found for elder in elders if (found := self._elders[elder]) is not None]
        return [found.predict([image])[0].mask for found in (known if self.is_fast else known[:1])]

    def heat(self, image: Image) -> Generator[None, None, NDArray[np.uint8]]:
        """Where the orientations of an image disagree (H, W), 0..255; one a step: each is a forward pass."""
        seen = []
        for view in VIEWS if self.is_fast else VIEWS[:FEW]:
            (planes,) = self._answers([warped(image, view)], planes_of)
            seen.append(_unwarped_planes(planes, view)[1])
            yield
        return disagreement(seen)

    def _answers(self, batch: Sequence[Image], answers_of: Callable[[Tensor, Tensor], list[T]]) -> list[T]:
        answers: dict[int, T] = {}
        order = sorted(range(len(batch)), key=lambda index: batch[index].shape[:2])
        for shape, group in groupby(order, key=lambda index: batch[index].shape[:2]):
            pixels = max(1, round(shape[0] * shape[1] * self.scale**2))
            for indices in _chunks(list(group), max(1, BATCH_PIXELS // pixels)):
                logits, features = self._answer([batch[index] for index in indices])
                answers.update(zip(indices, answers_of(logits, features), strict=True))
        return [answers[index] for index in range(len(batch))]

    def _answer(self, batch: list[Image]) -> tuple[Tensor, Tensor]:
        """Logits (N, C, H, W) and features (N, D) of images of one size, computed at the working scale."""
        shape = batch[0].shape[:2]
        inputs = torch.stack([network_input(resized(image, self.scale), channels=self.channels) for image in batch])
        large = inputs.shape[-2] * inputs.shape[-1] > LARGEST
        logits, features = self._tiled(inputs) if large else self._outputs(inputs)
        if logits.shape[-2:] != shape:
            logits = functional.interpolate(logits, size=shape, mode="bilinear", align_corners=False)
        return logits, features

    def _outputs(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of (N, C, H, W) and features (N, D); a batch that does not fit into memory is halved."""
        try:
            with self._pace.step(inputs.numel()):
                return self._network.with_features(inputs)
        except RuntimeError as error:
            if not is_out_of_memory(error) or len(inputs) == 1:
                raise
            release_memory()
        half = len(inputs) // 2
        (logits, features), (more_logits, more_features) = self._outputs(inputs[:half]), self._outputs(inputs[half:])
        return torch.cat([logits, more_logits]), torch.cat([features, more_features])

    def _tiled(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of one large image (1, C, H, W) from overlapping tiles, blended by a ramp over the overlap.

        Its features are the mean over the tiles.
        """
        height, width = inputs.shape[-2:]
        total: Tensor | None = None
        weight = torch.zeros(height, width)
        features = []
        for top, left in tiles(height, width):
            tile = inputs[..., top : top + TILE, left : left + TILE]
            logits, found = (output.cpu() for output in self._outputs(tile))
            features.append(found)
            ramp = _ramp(logits.shape[-2])[:, None] * _ramp(logits.shape[-1])[None, :]
            total = torch.zeros(1, logits.shape[1], height, width) if total is None else total
            total[..., top : top + TILE, left : left + TILE] += logits * ramp
            weight[top : top + TILE, left : left + TILE] += ramp
        assert total is not None
        return total / weight, torch.stack(features).mean(dim=0)


def _loaded(elder: Elder, *, device: str) -> Predictor | None:
    """The predictor of an earlier version; None where its file is gone or damaged: then it is not asked."""
    try:
        return Predictor.load(elder.path, version=elder.version, sha256=elder.sha256, device=device)
    except CheckpointError:
        return None


def _unwarped_planes(planes: Planes, view: tuple[int, bool]) -> Planes:
    mask, probability = planes
    return unwarped(mask, view), unwarped(probability, view)


def tiles(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Corners (top, left) of tiles that cover an image and overlap by at least OVERLAP."""
    for top in _starts(height):
        for left in _starts(width):
            yield top, left


def _starts(side: int) -> list[int]:
    last = max(0, side - TILE)
    count = -(-last // (TILE - OVERLAP)) + 1
    return sorted({round(index * last / max(1, count - 1)) for index in range(count)})


def _ramp(side: int) -> Tensor:
    """Weights that fall towards both ends of a tile, never to zero."""
    distance = torch.minimum(torch.arange(side), torch.arange(side).flip(0)) + 1
    return (distance / OVERLAP).clamp(max=1.0)


@dataclass(frozen=True, slots=True)
class JobImage:
    """One image to predict; ``sha256`` guards against a changed file, ``before`` is the version that answered last.

    ``accepted``: its mask stands if the new one bears it out, so that no more is asked then.
    """

    image_id: int
    path: Path
    sha256: str
    before: int | None = None
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class PredictionJob:
    """What to predict, with which model, and where the files of the predictions go.

    ``grey_share`` of the images, those nearest ``threshold``, are seen in further orientations, and by the newest of
    ``elders`` where it has not seen them yet; on a GPU all images are, by all of them.
    """

    items: tuple[JobImage, ...]
    folder: Path
    model_path: Path
    version: int
    model_sha256: str | None = None
    device: str = "auto"
    threshold: float = 0.0
    grey_share: float = 0.0
    bundle: Bundle | None = None
    elders: tuple[Elder, ...] = ()


@dataclass(frozen=True, slots=True)
class FailedImage:
    """An image of a job that could not be predicted, and why."""

    image_id: int
    reason: str = field(default="")


def predict_files(
    job: PredictionJob, predictor: Predictor | None = None
) -> Generator[list[PredictionRecord | FailedImage], None, None]:
    """Predict the images of a job, a batch a step; the next batch is decoded while one is computed."""
    predictor = predictor or Predictor.load(
        job.model_path, version=job.version, sha256=job.model_sha256, device=job.device
    )
    for batch in _decoded_ahead(job.items):
        failed: list[PredictionRecord | FailedImage] = [item for item in batch if isinstance(item, FailedImage)]
        readable = [item for item in batch if not isinstance(item, FailedImage)]
        batch_images = [image for _, image in readable]
        predictions = compared(
            batch_images,
            predictor.predict(batch_images),
            [_stored(job, item) for item, _ in readable],
            job.bundle,
            predictor.classes,
        )
        if job.grey_share > 0:
            predictions = _seen_again(job, predictor, readable, predictions)
        yield failed + [
            store(job.folder, item.image_id, job.version, prediction)
            for (item, _), prediction in zip(readable, predictions, strict=True)
        ]


def _seen_again(
    job: PredictionJob, predictor: Predictor, batch: list[tuple[JobImage, Image]], predictions: list[Prediction]
) -> list[Prediction]:
    """The predictions, those of the grey zone seen in further orientations; accepted masks that stand are not in it."""
    zone = predictor.grey_zone(threshold=job.threshold, share=job.grey_share)
    asked = [at for at, (item, _) in enumerate(batch) if not (item.accepted and stands(predictions[at]))]
    seen = looked_at(predictor, [batch[at][1] for at in asked], [predictions[at] for at in asked], zone, job.bundle)
    answers = dict(enumerate(predictions)) | dict(zip(asked, seen, strict=True))
    return [_with_elders(job, predictor, image, answers[at]) for at, (_, image) in enumerate(batch)]


def _with_elders(job: PredictionJob, predictor: Predictor, image: Image, prediction: Prediction) -> Prediction:
    """The prediction with the IoU of the masks that earlier versions give, where it was worth a second look."""
    is_known = "kept" in prediction.signals and not predictor.is_fast
    if is_known or "view_iou_min" not in prediction.signals or not job.elders:
        return prediction
    return remembered(prediction, predictor.before(image, job.elders), predictor.classes)


def _stored(job: PredictionJob, item: JobImage) -> Mask | None:
    """The mask of the version before, as long as its file lies there; it is disposable."""
    if item.before is None or item.before == job.version:
        return None
    try:
        return masks.load(prediction_paths(job.folder, item.image_id, item.before)[0])
    except MaskError:
        return None


@dataclass(frozen=True, slots=True)
class LooksJob:
    """Images whose appearance is wanted, from before any model."""

    items: tuple[JobImage, ...]
    version: int = 0  # of no model


@dataclass(frozen=True, slots=True)
class Look:
    """What an image looks like without a model."""

    image_id: int
    embedding: Embedding


def looks_of_files(job: LooksJob) -> Generator[list[Look | FailedImage], None, None]:
    """The appearance of each image of a job, a batch a step."""
    for batch in _decoded_ahead(job.items):
        yield [item if isinstance(item, FailedImage) else Look(item[0].image_id, appearance(item[1])) for item in batch]


def store(folder: Path, image_id: int, version: int, prediction: Prediction) -> PredictionRecord:
    """Write the two files of a prediction (they can be made again: no fsync) and return its record."""
    mask_path, probability_path = prediction_paths(folder, image_id, version)
    mask_path.parent.mkdir(parents=True, exist_ok=True)
    masks.save(probability_path, prediction.probability, durable=False)
    digest = masks.save(mask_path, prediction.mask, durable=False)
    return PredictionRecord(
        image_id=image_id,
        model_version=version,
        confidence=prediction.confidence,
        soft_iou=prediction.soft_iou,
        stability=prediction.stability,
        foreground=prediction.foreground,
        mask_sha256=digest,
        signals={**prediction.signals, **_classes(prediction.mask)},
        embedding=prediction.embedding,
    )


def _classes(mask: Mask) -> dict[str, float]:
    """The signal ``classes`` where a mask holds more than the first: bit n - 1 for class n.

    Signals have six digits: nothing is said of masks with a class above 19.
    """
    if mask.max(initial=0) <= 1:
        return {}
    found = np.flatnonzero(np.bincount(mask.ravel()))
    return {} if found[-1] > 19 else {"classes": float(sum(1 << int(value - 1) for value in found if value))}


def _decoded_ahead(items: Sequence[JobImage]) -> Iterator[list[tuple[JobImage, Image] | FailedImage]]:
    """Batches of decoded images, one batch ahead of the caller."""
    batches = _chunks(list(items), 16)
    with ThreadPoolExecutor(1, thread_name_prefix="decode") as pool:
        waiting: list[Future[list[tuple[JobImage, Image] | FailedImage]]] = []
        for batch in batches:
            waiting.append(pool.submit(_decode, batch))
            if len(waiting) > 1:
                yield from _split(waiting.pop(0).result())
        for future in waiting:
            yield from _split(future.result())


def _split(
    decoded: list[tuple[JobImage, Image] | FailedImage],
) -> Iterator[list[tuple[JobImage, Image] | FailedImage]]:
    """Steps small enough that a person's image never waits long: about BATCH_PIXELS each."""
    step: list[tuple[JobImage, Image] | FailedImage] = []
    pixels = 0
    for item in decoded:
        step.append(item)
        pixels += 0 if isinstance(item, FailedImage) else int(np.prod(item[1].shape[:2]))
        if pixels >= BATCH_PIXELS:
            yield step
            step, pixels = [], 0
    if step:
        yield step


def _decode(items: Sequence[JobImage]) -> list[tuple[JobImage, Image] | FailedImage]:
    decoded: list[tuple[JobImage, Image] | FailedImage] = []
    for item in items:
        try:
            decoded.append((item, images.load(item.path, sha256=item.sha256)))
        except LabelerError as error:
            decoded.append(FailedImage(item.image_id, str(error)))
    return decoded


def _chunks(items: list[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
