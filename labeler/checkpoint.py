"""Model files: safetensors with the network's configuration inside, and a JSON of its story beside."""

from __future__ import annotations

import io
import json
import pickle
import re
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from labeler.errors import CheckpointError
from labeler.files import json_beside, metrics_of, sha256_of, write_atomically
from labeler.networks import NetworkConfig, ResidualUNet
from labeler.settings import SMALLEST_SCALE

FORMAT = "labeler-residual-unet-1"
WIDEST = 256  # a base width above this is taken for damage, not for a network


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights of a residual U-Net, what is needed to build it, and what is known of it."""

    config: NetworkConfig
    weights: dict[str, Tensor]
    metrics: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, network: ResidualUNet, metrics: dict[str, Any] | None = None) -> Checkpoint:
        """A copy of a network's weights, on the processor."""
        weights = {name: value.detach().cpu().clone().contiguous() for name, value in network.state_dict().items()}
        return cls(network.config, weights, metrics or {})

    def network(self) -> ResidualUNet:
        """The network, in eval mode."""
        network = ResidualUNet(self.config)
        try:
            network.load_state_dict(self.weights)
        except RuntimeError as error:
            raise CheckpointError(f"the weights do not fit a residual U-Net: {_first_line(error)}") from error
        return network.eval()


def save(path: Path, checkpoint: Checkpoint) -> str:
    """Write ``path`` (.safetensors) and its JSON beside; returns the SHA-256 of the weights file."""
    header = {"format": FORMAT, "config": json.dumps(asdict(checkpoint.config))}
    payload = save_safetensors(checkpoint.weights, metadata=header)
    digest = sha256_of(payload)
    story = {"format": FORMAT, "sha256": digest, "config": asdict(checkpoint.config), "metrics": checkpoint.metrics}
    write_atomically(path, payload)
    write_atomically(path.with_suffix(".json"), json.dumps(story, indent=2).encode())
    return digest


def load(path: Path, *, sha256: str | None = None) -> Checkpoint:
    """Read a model file; .pt and .pth with ``weights_only``. CheckpointError names the file and the way out."""
    try:
        payload = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); choose another model") from error
    if sha256 is not None and sha256_of(payload) != sha256:
        raise CheckpointError(f"{path}: damaged (its SHA-256 has changed); go back to another version")
    read = _read_torch if path.suffix.lower() in (".pt", ".pth") else _read_safetensors
    weights = read(path, payload)
    told = _header(payload) if read is _read_safetensors else {}
    config = _config_of(path, weights, told or json_beside(path).get("config", {}))
    checkpoint = Checkpoint(config, weights, metrics_of(path))
    try:
        checkpoint.network()
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}; choose a model that labeler has made") from error
    return checkpoint


def _read_safetensors(path: Path, payload: bytes) -> dict[str, Tensor]:
    try:
        weights: dict[str, Tensor] = load_safetensors(payload)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        reason = f"not a sound safetensors file ({_first_line(error)})"
        raise CheckpointError(f"{path}: {reason}; choose another model") from error
    return weights


def _read_torch(path: Path, payload: bytes) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about foreign pickles, which are refused below anyway
            content = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError, OSError) as error:
        reason = f"not a plain PyTorch state dict ({_first_line(error)})"
        raise CheckpointError(f"{path}: {reason}; save it with torch.save(model.state_dict(), ...)") from error
    content = content.get("weights", content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path}: holds no state dict; save it with torch.save(model.state_dict(), ...)")
    return {str(name): value for name, value in content.items()}


def _config_of(path: Path, weights: dict[str, Tensor], told: dict[str, Any]) -> NetworkConfig:
    """The configuration that the shapes imply; what has no weights is told by the header, or (older, .pt) the JSON."""
    first, head = weights.get("down.0.conv.weight"), weights.get("head.weight")
    if first is None or head is None or first.ndim != 4 or head.ndim != 4:
        raise CheckpointError(f"{path}: not a residual U-Net; choose a model that labeler has made")
    width, channels, outputs = first.shape[0], first.shape[1], head.shape[0]
    if not (1 <= width <= WIDEST and 1 <= channels <= WIDEST and 1 <= outputs <= WIDEST):
        raise CheckpointError(f"{path}: claims a network of width {width}; choose another model")
    dropout, scale = told.get("dropout", 0.0), told.get("scale", 1.0)
    return NetworkConfig(
        width,
        channels,
        1 if outputs == 1 else outputs - 1,
        dropout=float(dropout) if isinstance(dropout, int | float) and 0 <= dropout < 1 else 0.0,
        scale=float(scale) if isinstance(scale, int | float) and SMALLEST_SCALE <= scale <= 1 else 1.0,
    )


def _header(payload: bytes) -> dict[str, Any]:
    """The configuration inside a sound safetensors file; {} where there is none."""
    # Eight bytes of length, then JSON: taken from the bytes whose hash was checked, not from the file once more.
    header = json.loads(payload[8 : 8 + int.from_bytes(payload[:8], "little")])
    try:
        config = json.loads(header.get("__metadata__", {}).get("config", "{}"))
    except ValueError:
        return {}
    return config if isinstance(config, dict) else {}


def _first_line(error: BaseException) -> str:
    return re.split(r"[\n:]", str(error).strip() or type(error).__name__, maxsplit=1)[0][:120]
