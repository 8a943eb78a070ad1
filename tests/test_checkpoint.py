"""Model files: what is kept, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from labeler import checkpoint
from labeler.checkpoint import Checkpoint
from labeler.errors import CheckpointError
from labeler.networks import NetworkConfig, ResidualUNet


@pytest.fixture
def network() -> ResidualUNet:
    torch.manual_seed(0)
    return ResidualUNet(NetworkConfig(base_width=2, in_channels=1, classes=3, dropout=0.25, scale=0.5)).eval()


def test_weights_configuration_and_figures_survive(network: ResidualUNet, tmp_path: Path) -> None:
    path = tmp_path / "0003.safetensors"
    digest = checkpoint.save(path, Checkpoint.of(network, {"core_iou": 0.5}))
    found = checkpoint.load(path, sha256=digest)
    assert found.config == network.config
    assert found.metrics == {"core_iou": 0.5}
    x = torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        assert torch.equal(found.network()(x), network(x))


def test_weights_file_alone_is_enough(network: ResidualUNet, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    checkpoint.save(path, Checkpoint.of(network))
    path.with_suffix(".json").unlink()
    assert checkpoint.load(path).config == network.config


@pytest.mark.parametrize("wrapped", [False, True])
def test_plain_pytorch_state_dict_is_read(network: ResidualUNet, tmp_path: Path, wrapped: bool) -> None:
    path = tmp_path / "m.pt"
    state = network.state_dict()
    torch.save({"weights": state} if wrapped else state, path)
    assert checkpoint.load(path).config.base_width == 2


class _Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (eval, (f"open({str(self.marker)!r}, 'w').close()",))


def test_pickled_code_never_runs(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    for name, write in {"a.pt": torch.save, "b.pt": lambda value, path: path.write_bytes(pickle.dumps(value))}.items():
        path = tmp_path / name
        write(_Payload(marker), path)
        with pytest.raises(CheckpointError, match=name):
            checkpoint.load(path)
    assert not marker.exists()


def _flip(payload: bytes) -> bytes:
    damaged = bytearray(payload)
    damaged[len(damaged) // 2] ^= 0x10
    return bytes(damaged)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("empty", lambda payload: b""),
        ("cut", lambda payload: payload[: len(payload) // 2]),
        ("text", lambda payload: b"not a model"),
        ("huge header", lambda payload: (2**60).to_bytes(8, "little") + payload[8:]),
        ("flipped bit", _flip),
    ],
)
def test_damaged_files_are_refused_by_name(network: ResidualUNet, tmp_path: Path, name: str, damage: object) -> None:
    path = tmp_path / "0001.safetensors"
    digest = checkpoint.save(path, Checkpoint.of(network))
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(CheckpointError, match=r"0001\.safetensors"):
        checkpoint.load(path, sha256=digest)


def test_foreign_networks_are_refused(network: ResidualUNet, tmp_path: Path) -> None:
    foreign, partial, missing = tmp_path / "foreign.pt", tmp_path / "partial.pt", tmp_path / "none.pt"
    torch.save(torch.nn.Linear(3, 2).state_dict(), foreign)
    torch.save({name: value for name, value in network.state_dict().items() if "up.1" not in name}, partial)
    for path in (foreign, partial, missing):
        with pytest.raises(CheckpointError, match=path.name):
            checkpoint.load(path)


def test_shipped_model_loads_and_finds_ships() -> None:
    from labeler import metrics, ships
    from labeler.files import shipped
    from labeler.inference import Predictor

    predictor = Predictor.load(shipped("models/ships.safetensors"), device="cpu")
    pairs = list(ships.pairs(40, seed=77))
    found = predictor.predict([ships.as_uint8(image) for image, _ in pairs])
    ious = [metrics.iou(prediction.mask, mask) for prediction, (_, mask) in zip(found, pairs, strict=True)]
    assert sum(ious) / len(ious) > 0.93
