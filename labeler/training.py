"""One round: fit a challenger on the core, judge it beside the champion on the holdout."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from labeler import checkpoint
from labeler.appearance import appearance
from labeler.bundle import MOST_VECTORS, Bundle
from labeler.calibration import Pair as HoldoutPair
from labeler.calibration import fit_calibrator
from labeler.cascade import holdout_pair
from labeler.checkpoint import Checkpoint
from labeler.dataset import Batches, Core, Pair, Sample, read_pair
from labeler.device import Pace, autocast_dtype, choose_device, is_out_of_memory, keep_freed_memory, release_memory
from labeler.errors import CheckpointError, ImageError, MaskError, TrainingError
from labeler.inference import Predictor
from labeler.losses import segmentation_loss
from labeler.metrics import mean_iou
from labeler.networks import NetworkConfig, ResidualUNet
from labeler.records import Progress
from labeler.settings import Settings
from labeler.sizing import NARROW, Sizing, choose_sizing

WARM_UP = 0.1  # share of the steps in which the learning rate rises
EMA_DECAY = 0.99
WEIGHT_DECAY = 1e-2
LOWEST_LR = 0.01  # of the peak, at the end of the cosine
WARM_LR = 0.5  # of the peak, for a round that goes on from the champion: at the whole it forgets what it knew
CHECK_EVERY = 100  # steps between looks at the stop rule
CHECK_IMAGES = 16
SIZING_IMAGES = 64
STATISTICS_BATCHES = 16  # of crops, from which BatchNorm statistics are estimated
# Of the steps from nothing, after which BatchNorm keeps its statistics. With those of each batch a network learns to
# rely on them: ships of a core were found in a batch with an IoU of 0.97, alone with 0.27.
HELD_FROM = 0.6
# Of the steps from nothing, before which nothing is laid over or under objects: with it, ships in two polarities were
# still told by one of them alone after 400 steps; without it 50 are enough, and the rest is learnt then.
PASTED_FROM = 0.2
# Where tiny objects stand beside large ones (magnetic tiles): of the steps from nothing, in which both count the same,
# and after which BatchNorm keeps its statistics. Else large ones that are hard to tell drown the others.
BALANCED_UNTIL = 0.5
HELD_FROM_BALANCED = 0.85
PLAIN_FROM = 0.8  # of the steps, after which crops are no longer stretched: the last word have pixels as they are
GOING_ON = 2 / 3  # of the steps of a long round, where it goes on from the champion with accepted masks
# Images of a core, above which a round from nothing takes longer, with the square root of their number. On dsb2018
# nuclei, 496 labels, 2,000 steps gave a mean IoU of 0.844, 4,500 gave 0.859.
LARGE_CORE = 50
LONGEST = 3  # times
RETRIES = 3
STOP_IOU = 0.985  # mean IoU on the core (eval mode, averaged weights) at which nothing is left to learn


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """All that a round needs; it sees no project and no catalogue, so that any thread may run it."""

    core: tuple[Sample, ...]
    holdout: tuple[Sample, ...]
    output: Path
    settings: Settings
    seed: int
    champion: Path | None = None
    champion_sha256: str | None = None
    from_scratch: bool = False
    version: int = 1
    long: bool = False
    accepted: tuple[Sample, ...] = ()  # with masks that the gate accepted: learnt beside the core, judging nothing

    def steps(self, *, warm: bool) -> int:
        """Most steps of the round; ``warm`` where it goes on from the champion."""
        if not self.long:
            return self.settings.steps if warm else self.settings.first_steps
        grown = min(LONGEST, max(1.0, math.sqrt(len(self.core) / LARGE_CORE)))
        return round((GOING_ON if self.accepted else grown) * self.settings.long_steps)


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What a round produced; the IoUs are plain, in the order of ``judged`` (mask paths of the holdout)."""

    path: Path
    sha256: str
    core_iou: float
    core_count: int
    judged: tuple[Path, ...]
    challenger_ious: tuple[float, ...]
    champion_ious: tuple[float, ...] | None
    steps: int
    seconds: float
    notes: tuple[str, ...] = field(default=())
    bundle: Bundle | None = None
    recalled: tuple[tuple[float, float], ...] = ()  # challenger's and champion's, on core images that both know
    accepted_count: int = 0  # accepted masks that were learnt too


@dataclass(slots=True)
class Fit:
    """The state of a fit that survives a retry with a smaller batch or a lower rate."""

    network: ResidualUNet
    average: ResidualUNet
    batch: int
    lr: float
    champion: ResidualUNet | None = None  # from which it goes on
    steps: int = 0
    core_iou: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def warm(self) -> bool:
        """Whether it goes on from a champion."""
        return self.champion is not None


def run_round(job: TrainingJob) -> Generator[Progress, None, RoundResult]:
    """Train and judge; closing the generator stops within a step. TrainingError where it cannot be done."""
    started = time.monotonic()
    core = yield from _read_core(job)
    champion, notes = _champion(job)
    sizing = _sizing(job, core, champion)
    core.rescale(sizing.scale)
    accepted = yield from _read_accepted(job, core)
    accepted_count = 0 if accepted is None else len(accepted)
    fit = yield from _fit(job, core, accepted, champion, sizing)
    predictor = Predictor(fit.average, device=job.settings.device)
    before = _champion_predictor(job, champion)
    vectors, recalled = yield from _recall(job, predictor, before, core)
    judged, pairs, theirs = yield from _judge(job, predictor, before, vectors)
    ours = tuple(pair.iou for pair in pairs)
    bundle = replace(vectors, calibrator=fit_calibrator(pairs, below=job.settings.wrong_below, seed=job.seed))
    seconds = time.monotonic() - started
    metrics = {
        "core_iou": fit.core_iou,
        "core_count": len(core),
        "accepted_count": accepted_count,
        "holdout_iou": float(np.mean(ours)) if ours else None,
        "holdout_count": len(ours),
        "steps": fit.steps,
        "seconds": round(seconds, 2),
        "seed": job.seed,
        "from_scratch": champion is None,
        "long": job.long,
        "base_width": sizing.base_width,
        "scale": sizing.scale,
        "sizing": sizing.reason,
        "settings": job.settings.differing(),
        "bundle": json.loads(bundle.to_text()),
    }
    digest = checkpoint.save(job.output, Checkpoint.of(fit.average, metrics))
    return RoundResult(
        path=job.output,
        sha256=digest,
        core_iou=fit.core_iou,
        core_count=len(core),
        accepted_count=accepted_count,
        judged=judged,
        challenger_ious=ours,
        champion_ious=theirs,
        steps=fit.steps,
        seconds=seconds,
        notes=(*notes, *core.skipped, *fit.notes, *([] if champion else [sizing.reason])),
        bundle=bundle,
        recalled=recalled,
    )


def _read_core(job: TrainingJob) -> Generator[Progress, None, Core]:
    core = Core(job.core, classes=len(job.settings.classes), memory_mb=job.settings.memory_mb)
    yield from _read(core)
    if not len(core):
        why = core.skipped[0] if core.skipped else "there are no labels"
        raise TrainingError(f"no round without a readable label: {why}")
    return core


def _read_accepted(job: TrainingJob, core: Core) -> Generator[Progress, None, Core | None]:
    """As many of the accepted pairs as fit into memory beside the core; what cannot be read is left out."""
    accepted = Core(job.accepted, classes=core.classes, memory_mb=core.room_mb)
    yield from _read(accepted, as_fit=True)
    accepted.rescale(core.scale)
    return accepted if len(accepted) else None


def _read(core: Core, *, as_fit: bool = False) -> Generator[Progress, None, None]:
    """Read the pairs once and drop those that cannot be; ``as_fit``: also those from the first without room on."""
    usable: list[int] = []
    for index in range(len(core)):
        if core.preload(index):
            if as_fit and not core.is_kept(index):
                break
            usable.append(index)
        yield Progress("reading", index + 1, len(core))
    core.keep_only(usable)


def _champion(job: TrainingJob) -> tuple[ResidualUNet | None, list[str]]:
    """The network to go on from; None (and why) where a round starts from nothing."""
    if job.champion is None or job.from_scratch:
        return None, []
    try:
        network = checkpoint.load(job.champion, sha256=job.champion_sha256).network()
    except CheckpointError as error:
        return None, [f"started from nothing: {error}"]
    if network.config.classes != len(job.settings.classes):
        return None, ["started from nothing: the classes of the project have changed"]
    return network, []


def _sizing(job: TrainingJob, core: Core, champion: ResidualUNet | None) -> Sizing:
    if champion is not None:
        return Sizing(champion.config.base_width, champion.config.scale, "as the model before")
    shown = np.unique(np.linspace(0, len(core) - 1, SIZING_IMAGES).astype(int))
    return choose_sizing([core.pair(int(index)).mask for index in shown], job.settings)


def _fit(
    job: TrainingJob, core: Core, accepted: Core | None, champion: ResidualUNet | None, sizing: Sizing
) -> Generator[Progress, None, Fit]:
    """Train until the stop rule or the last step; smaller batches or lower rates where memory or numbers fail."""
    settings = job.settings.model_copy(update={"base_width": sizing.base_width, "scale": sizing.scale})
    notes: list[str] = []
    batch, lr = settings.batch, settings.lr * (1 if champion is None else WARM_LR)
    for _ in range(RETRIES + 1):
        torch.manual_seed(job.seed)
        fit = fit_for(settings.model_copy(update={"batch": batch, "lr": lr}), champion)
        failure = yield from _attempt(job, core, accepted, fit, steps=job.steps(warm=champion is not None))
        if failure is None:
            fit.notes.extend(notes)
            return fit
        notes.append(failure)
        batch, lr = (max(1, batch // 2), lr) if failure.startswith("memory") else (batch, lr / 4)
        release_memory()
    raise TrainingError(f"the round was given up after {RETRIES + 1} tries: {'; '.join(notes)}")


def fit_for(settings: Settings, champion: ResidualUNet | None = None) -> Fit:
    """A fit at its start: a copy of the champion, else a new network."""
    width, scale = settings.base_width or NARROW, settings.scale or 1.0
    config = NetworkConfig(width, 3, len(settings.classes), settings.dropout, scale)
    network = ResidualUNet(config if champion is None else champion.config)
    if champion is not None:
        network.load_state_dict(champion.state_dict())
    return Fit(network, ResidualUNet(network.config), settings.batch, settings.lr, champion)


def _attempt(
    job: TrainingJob, core: Core, accepted: Core | None, fit: Fit, *, steps: int
) -> Generator[Progress, None, str | None]:
    """Run the steps; None on success, else a sentence that says what failed."""
    meets = fit.champion if accepted is None else None
    try:
        trainer = Trainer(job.settings, job.seed, core, fit, steps=steps, accepted=accepted)
        for step in range(steps):
            if step == trainer.held_from:
                yield from trainer.hold_statistics(step, steps)
            loss, chosen = trainer.step(step)
            if not math.isfinite(loss):
                names = ", ".join(sorted({sample.image_path.name for sample in chosen}))
                return f"the loss became {loss} at step {step + 1} with {names}"
            fit.steps = step + 1
            yield Progress("training", step + 1, steps, {"loss": loss, "lr": trainer.lr(step)})
            last = step + 1 == steps
            if (last and meets is None) or (not last and (step + 1) % CHECK_EVERY == 0):
                yield from trainer.check(step + 1, steps)
                if fit.core_iou >= STOP_IOU and accepted is None:
                    break
        if meets is not None:
            trainer.meet(meets)
            yield from trainer.check(fit.steps, steps)
        if not_finite(fit.average):
            return f"the weights became infinite within {fit.steps} steps"
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return f"memory ran out with {fit.batch} crops a step"
    return None


def not_finite(network: nn.Module) -> bool:
    """True where a weight or a statistic is infinite or no number."""
    return not all(torch.isfinite(value).all() for value in network.state_dict().values())


class Trainer:
    """Optimiser, schedule and averaged weights of one attempt."""

    def __init__(
        self, settings: Settings, seed: int, core: Core, fit: Fit, *, steps: int, accepted: Core | None = None
    ) -> None:
        self.core, self.fit, self.total = core, fit, steps
        self.device = choose_device(settings.device)
        self.dtype = autocast_dtype(self.device)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.network = _placed(fit.network, self.device).train()
        self.average = _placed(fit.average, self.device)
        self.average.load_state_dict(self.network.state_dict())
        rng = np.random.default_rng(seed)
        self.pace = Pace(fixed=settings.threads > 0)
        channels = self.network.config.in_channels
        self.batches = Batches(core, settings, rng, channels=channels, favour_new=fit.warm, accepted=accepted)
        balanced = self.batches.sizes_vary and not fit.warm
        self.balanced_until = round(BALANCED_UNTIL * steps) if balanced else 0
        self.held_from = 0 if fit.warm else round((HELD_FROM_BALANCED if balanced else HELD_FROM) * steps)
        self.held = False
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=fit.lr, weight_decay=WEIGHT_DECAY, fused=self.device.type != "mps"
        )

    def lr(self, step: int) -> float:
        """Linear warm-up, then a cosine down to LOWEST_LR of the peak."""
        warm_up = max(1, round(WARM_UP * self.total))
        if step < warm_up:
            return self.fit.lr * (step + 1) / warm_up
        phase = (step - warm_up) / max(1, self.total - warm_up)
        return self.fit.lr * (LOWEST_LR + (1 - LOWEST_LR) * 0.5 * (1 + math.cos(math.pi * phase)))

    def step(self, step: int) -> tuple[float, tuple[Sample, ...]]:
        """One step; returns its loss and the samples it saw."""
        with self.pace.step():
            return self._step(step)

    def _step(self, step: int) -> tuple[float, tuple[Sample, ...]]:
        stretched, pasted = step < PLAIN_FROM * self.total, self.fit.warm or step >= PASTED_FROM * self.total
        x, target, chosen = self.batches.draw(self.fit.batch, stretched=stretched, pasted=pasted)
        for group in self.optimiser.param_groups:
            group["lr"] = self.lr(step)
        self.optimiser.zero_grad(set_to_none=True)
        logits, balanced = self._logits(self.network, x), step < self.balanced_until
        loss = segmentation_loss(logits, target.to(self.device), balanced=balanced).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        decay = min(EMA_DECAY, (1 + step) / (10 + step))
        with torch.no_grad():
            averaged: list[Tensor] = list(self.average.parameters())
            live: list[Tensor] = list(self.network.parameters())
            torch._foreach_lerp_(averaged, live, 1 - decay)
        return float(loss.detach()), chosen

    def hold_statistics(self, done: int, total: int) -> Generator[Progress, None, None]:
        """From here on BatchNorm computes what it will compute in eval mode; the average begins anew."""
        if not self.fit.warm:
            yield from self._estimate_statistics(self.network, done, total)
        for norm in _norms(self.network):
            norm.eval()
        self.average.load_state_dict(self.network.state_dict())
        self.held = True

    def meet(self, champion: ResidualUNet) -> None:
        """Move the averaged weights to halfway between them and the champion's; its statistics are theirs."""
        averaged: list[Tensor] = list(self.average.parameters())
        theirs: list[Tensor] = list(champion.to(self.device).parameters())
        with torch.no_grad():
            torch._foreach_lerp_(averaged, theirs, 0.5)

    def check(self, done: int, total: int) -> Generator[Progress, None, None]:
        """Give the averaged weights sound statistics and measure them on the core, in eval mode."""
        if not self.held:
            yield from self._estimate_statistics(self.average, done, total)
        self.average.eval()
        predictor = Predictor(self.average, device=str(self.device.type), scale=1.0)  # the pairs are at scale
        shown = np.unique(np.linspace(0, len(self.core) - 1, CHECK_IMAGES).astype(int))
        ious = []
        for index in shown:
            pair = self.core.pair(int(index))
            ious.append(_iou(predictor, pair))
            yield Progress("checking", done, total)
        self.fit.core_iou = float(np.mean(ious))
        yield Progress("checking", done, total, {"core_iou": self.fit.core_iou})

    def _estimate_statistics(self, network: ResidualUNet, done: int, total: int) -> Generator[Progress, None, None]:
        """BatchNorm statistics of a network over many batches: a running average follows weights that move."""
        norms = _norms(network)
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain average over the batches that follow
        network.train()
        for _ in range(STATISTICS_BATCHES):
            with torch.no_grad():  # never across a yield: it holds for the whole thread, and other work runs between
                self._logits(network, self.batches.draw(self.fit.batch)[0])
            yield Progress("checking", done, total)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum

    def _logits(self, network: ResidualUNet, x: Tensor) -> Tensor:
        x = x.to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            logits: Tensor = network(x)
        return logits


def _norms(network: ResidualUNet) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def _placed(network: ResidualUNet, device: torch.device) -> ResidualUNet:
    placed: ResidualUNet = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed


def _recall(
    job: TrainingJob, challenger: Predictor, before: Predictor | None, core: Core
) -> Generator[Progress, None, tuple[Bundle, tuple[tuple[float, float], ...]]]:
    """What the core looks like to the challenger, and plain IoUs of both on what the champion was trained on.

    How far an image is from the core is one of its figures; the IoUs tell what was forgotten.
    """
    shown = np.unique(np.linspace(0, len(core) - 1, MOST_VECTORS).astype(int))
    vectors: list[NDArray[np.float32]] = []
    looks: list[NDArray[np.float32]] = []
    recalled: list[tuple[float, float]] = []
    for index in map(int, shown):
        try:
            pair = core.pair(index) if core.scale == 1 else read_pair(core.samples[index], classes=core.classes)
        except (ImageError, MaskError):  # there when the round began
            continue
        prediction = challenger.predict([pair.image])[0]
        assert prediction.embedding is not None
        vectors.append(prediction.embedding)
        looks.append(appearance(pair.image))
        if before is not None and not pair.fresh and len(recalled) < CHECK_IMAGES:
            ours = mean_iou(prediction.mask, pair.mask, classes=core.classes)
            recalled.append((ours, _iou(before, pair)))
        yield Progress("judging", len(vectors), len(shown))
    return Bundle(None, job.settings.threshold, _stacked(vectors), _stacked(looks)), tuple(recalled)


def _stacked(vectors: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.stack(vectors) if vectors else np.zeros((0, 0), np.float32)


def _judge(
    job: TrainingJob, challenger: Predictor, before: Predictor | None, bundle: Bundle
) -> Generator[Progress, None, tuple[tuple[Path, ...], list[HoldoutPair], tuple[float, ...] | None]]:
    """Both on every readable holdout pair: the challenger's figures and plain IoUs, the champion's plain IoUs."""
    judged: list[Path] = []
    ours: list[HoldoutPair] = []
    theirs: list[float] = []
    for index, sample in enumerate(job.holdout):
        with contextlib.suppress(ImageError, MaskError):
            pair = read_pair(sample, classes=len(job.settings.classes))
            prediction = challenger.predict([pair.image])[0]
            previous = None if before is None else before.predict([pair.image])[0].mask
            ours.append(
                holdout_pair(
                    challenger,
                    pair.image,
                    pair.mask,
                    prediction,
                    previous=previous,
                    bundle=bundle,
                    seen=sample.seen,
                )
            )
            judged.append(sample.mask_path)
            if previous is not None:
                theirs.append(mean_iou(previous, pair.mask, classes=challenger.classes))
        yield Progress("judging", index + 1, len(job.holdout))
    return tuple(judged), ours, tuple(theirs) if before is not None else None


def _champion_predictor(job: TrainingJob, champion: ResidualUNet | None) -> Predictor | None:
    """The champion as a judge's rival; it is one even where the challenger started from nothing."""
    if champion is None and job.champion is not None:
        with contextlib.suppress(CheckpointError):
            champion = checkpoint.load(job.champion, sha256=job.champion_sha256).network()
    if champion is None or champion.config.classes != len(job.settings.classes):
        return None
    return Predictor(champion, device=job.settings.device)


def _iou(predictor: Predictor, pair: Pair) -> float:
    prediction = predictor.predict([pair.image])[0]
    return mean_iou(prediction.mask, pair.mask, classes=predictor.classes)
