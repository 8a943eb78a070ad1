"""The arm ``article``: its protocol to the letter.

The first 11 pairs; then chunks of 1,024 predictions, in the order of the stream. A pair joins the core where its
stepped IoU (mask at p > 0.5) is below 0.95 x precision. After each chunk, epochs over the whole core in batches of 50
(10 for the first eleven) until the running train-mode mean of the stepped IoU over one epoch exceeds ``precision``.
Adam at 1e-3, dropout 0.5, binary cross-entropy, no augmentation. Inputs are standardised like those of every other arm.
"""

from __future__ import annotations

import io
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from labeler import checkpoint
from labeler.checkpoint import Checkpoint
from labeler.dataset import network_input
from labeler.device import autocast_dtype, choose_device
from labeler.errors import TrainingError
from labeler.files import write_atomically
from labeler.inference import Predictor
from labeler.metrics import stepped_iou
from labeler.networks import NetworkConfig, ResidualUNet
from labeler.records import Image, Mask, Progress
from labeler.studies.curate.agreement import measure
from labeler.studies.curate.pairs import Indices, Pairs
from labeler.studies.walking import Budget

FIRST = 11
SHARE = 0.95  # of ``precision``: below it a pair joins the core
CHUNK = 1024
BATCH, FIRST_BATCH = 50, 10
LR = 1e-3
DROPOUT = 0.5
MOST_EPOCHS = 3000  # of one fit, so that a net that never gets there ends with a word


@dataclass(frozen=True, slots=True)
class ArticleRound:
    """One fit: the core that it was made on, and where the stream stood."""

    number: int
    position: int  # images of the stream seen
    core: int
    added: int
    epochs: int
    running: float  # train-mode mean stepped IoU of the last epoch
    seconds: float


Told = Progress | ArticleRound


class ArticleTrainer:
    """A network, its Adam and the core, which only grows; all of it can be written down and taken up again."""

    def __init__(self, pairs: Pairs, *, width: int, precision: float, seed: int, device: str) -> None:
        torch.manual_seed(seed)
        self.pairs, self.precision = pairs, precision
        self.rng = np.random.default_rng((seed, 2))
        self.device = choose_device(device)
        self.dtype = autocast_dtype(self.device)
        network: Any = ResidualUNet(NetworkConfig(base_width=width, dropout=DROPOUT))
        self.network: ResidualUNet = network.to(self.device, memory_format=torch.channels_last)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=LR)
        self.core: list[int] = []
        self._kept: dict[int, tuple[Image, Mask]] = {}

    @property
    def bar(self) -> float:
        """The stepped IoU below which a pair joins the core."""
        return SHARE * self.precision

    def fit(self, batch: int) -> Generator[Progress, None, tuple[int, float]]:
        """Epochs over the whole core until ``precision`` is exceeded: (epochs, the last running metric)."""
        for epoch in range(1, MOST_EPOCHS + 1):
            running = yield from self._epoch(epoch, batch)
            if running > self.precision:
                return epoch, running
        raise TrainingError(
            f"the article's rule was not met in {MOST_EPOCHS} epochs on {len(self.core)} pairs "
            f"(stepped IoU {running:.3f} of {self.precision:g}); take a wider network or a lower precision"
        )

    def _epoch(self, epoch: int, batch: int) -> Generator[Progress, None, float]:
        self.network.train()
        scores: list[float] = []
        order = self.rng.permutation(self.core)
        for start in range(0, len(order), batch):
            scores.extend(self._step([int(index) for index in order[start : start + batch]]))
            yield Progress("training", epoch, 0, {"running stepped IoU": float(np.mean(scores))})
        return float(np.mean(scores))

    def _step(self, indices: list[int]) -> list[float]:
        """One step of Adam; the stepped IoU of its own train-mode predictions."""
        pairs = [self._pair(index) for index in indices]
        x = torch.stack([network_input(image) for image, _ in pairs])
        wanted = torch.from_numpy(np.stack([mask for _, mask in pairs]) > 0).unsqueeze(1)
        logits = self._logits(x.to(self.device, memory_format=torch.channels_last))
        loss = functional.binary_cross_entropy_with_logits(logits, wanted.float().to(self.device))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        # p > 0.5 is a logit above 0.
        scores: list[float] = stepped_iou((logits.detach() > 0).cpu().numpy()[:, 0], wanted.numpy()[:, 0]).tolist()
        return scores

    def _logits(self, x: Tensor) -> Tensor:
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            logits: Tensor = self.network(x)
        return logits.float()

    def _pair(self, index: int) -> tuple[Image, Mask]:
        if index not in self._kept:
            self._kept[index] = self.pairs.image(index), self.pairs.mask(index)
        return self._kept[index]

    def predictor(self) -> Predictor:
        """The network as it is now, in eval mode."""
        return Predictor(Checkpoint.of(self.network).network(), device=self.device.type)

    def save(self, path: Path, **progress: Any) -> None:
        """Write the whole state down."""
        state = {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "core": self.core,
            "rng": self.rng.bit_generator.state,
            "torch": torch.get_rng_state(),
            **progress,
        }
        payload = io.BytesIO()
        torch.save(state, payload)
        write_atomically(path, payload.getvalue(), durable=False)

    def load(self, path: Path) -> dict[str, Any]:
        """Take up what ``save`` wrote."""
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.core = list(state["core"])
        self.rng.bit_generator.state = state["rng"]
        torch.set_rng_state(state["torch"])
        return state


class ArticleWalk:
    """A trainer's way through the stream, written down after every chunk."""

    def __init__(self, trainer: ArticleTrainer, order: Indices, budget: Budget, folder: Path) -> None:
        self.trainer, self.order, self.budget, self.folder = trainer, order, budget, folder
        self.position, self.seconds = 0, 0.0
        self.history: list[dict[str, Any]] = []
        self.rounds: list[dict[str, Any]] = []
        kept = folder / "walk.pt"
        if kept.exists():
            state = trainer.load(kept)
            self.position, self.seconds = state["position"], state["seconds"]
            self.history, self.rounds = state["history"], state["rounds"]

    def chunks(self) -> Generator[Told, None, None]:
        """Go on to the end of the stream or of the budget."""
        while self.position < len(self.order) and not self.spent():
            begin = time.monotonic()
            line = yield from self._chunk()
            self.seconds += time.monotonic() - begin
            state = {"position": self.position, "history": self.history, "rounds": self.rounds}
            self.trainer.save(self.folder / "walk.pt", **state, seconds=self.seconds)
            if line is not None:
                yield line

    def _chunk(self) -> Generator[Progress, None, ArticleRound | None]:
        first = not self.trainer.core
        chunk = self.order[self.position : self.position + (FIRST if first else CHUNK)]
        joining = [(int(index), None) for index in chunk] if first else (yield from _short(self.trainer, chunk))
        joining = joining if self.budget.labels is None else joining[: self.budget.labels - len(self.trainer.core)]
        for index, score in joining:
            self.trainer.core.append(index)
            place = self.position + int(np.flatnonzero(chunk == index)[0])
            told = {"index": index, "position": place, "round": len(self.rounds) + 1, "stepped": score}
            self.history.append({**told, "split": "core", "sweep": False})
        self.position += len(chunk)
        return (yield from self._fit(len(joining), FIRST_BATCH if first else BATCH)) if joining else None

    def _fit(self, added: int, batch: int) -> Generator[Progress, None, ArticleRound]:
        begin = time.monotonic()
        epochs, running = yield from self.trainer.fit(batch)
        line = ArticleRound(
            number=len(self.rounds) + 1,
            position=self.position,
            core=len(self.trainer.core),
            added=added,
            epochs=epochs,
            running=running,
            seconds=time.monotonic() - begin,
        )
        self.rounds.append(asdict(line))
        return line

    def spent(self) -> str:
        """Which part of the budget is spent, in words; empty while there is some left."""
        if self.budget.labels is not None and len(self.trainer.core) >= self.budget.labels:
            return f"{len(self.trainer.core)} labels were made"
        if self.budget.minutes is not None and self.seconds >= 60 * self.budget.minutes:
            return f"{self.budget.minutes:g} minutes were spent"
        return ""


def curate(walk: ArticleWalk) -> Generator[Told, None, dict[str, Any]]:
    """Walk the stream once; the figures that a result needs, ``model`` (a path) among them."""
    yield from walk.chunks()
    model, core = walk.folder / "model.safetensors", len(walk.trainer.core)
    checkpoint.save(model, Checkpoint.of(walk.trainer.network))
    training = sum(line["seconds"] for line in walk.rounds)
    return {
        "model": model,
        "labels": core,
        "core": core,
        "holdout": 0,
        "walk_labels": core,
        "history": walk.history,
        "rounds": walk.rounds,
        "passes": [],
        "seconds": {
            "training": training,
            "prediction": walk.seconds - training,
            "walk": walk.seconds,
            "all": walk.seconds,
        },
        "ended": walk.spent() or "the stream ended",
    }


def _short(trainer: ArticleTrainer, chunk: Indices) -> Generator[Progress, None, list[tuple[int, float | None]]]:
    """Pairs of a chunk below the bar, in the order of the stream, with their stepped IoU."""
    agreement = yield from measure(trainer.predictor(), trainer.pairs, chunk, phase="predicting")
    return [
        (int(index), float(score))
        for index, score in zip(agreement.indices, agreement.stepped, strict=True)
        if score < trainer.bar
    ]
