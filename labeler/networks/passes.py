"""Convolution and batch normalisation in training mode on a processor, with few passes over memory.

PyTorch's own kernels vectorise over channels: with the 8 or 16 channels of the first stages most of a vector is empty.
Both are avoided by views of the channels-last memory, without a copy:

- normalisation treats f neighbouring pixels of C channels as one pixel of f C channels;
- a 3x3 convolution to at most 8 channels computes two neighbouring pixels at once, as a 3x4 convolution of stride 2 to
  twice as many channels (12/9 of the multiplications, half of the instructions).

Nothing here knows of autograd. All tensors (N, C, H, W) are channels-last.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

ROW = 512  # channels of the folded view, at most: enough to fill the vectors, few enough to stay in the cache
NARROW = 8  # channels that fill at most half of a vector of 16 floats


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of one normalisation, by channel of the folded view (f C,): mean, biased variance, and the scale."""

    mean: Tensor
    variance: Tensor
    weight: Tensor
    eps: float
    held: bool = False  # whether they are those of the module: no batch moves them, no gradient goes through them


def halved(x: Tensor) -> Tensor:
    """2x2 max pooling without its index."""
    rows = torch.maximum(x[:, :, ::2], x[:, :, 1::2])
    return torch.maximum(rows[..., ::2], rows[..., 1::2])


def conv(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, add: Tensor | None = None, relu: bool = False, over: bool = False
) -> Tensor:
    """3x3 convolution, padding 1; the rest as in :func:`convolved`."""
    if not _pairs(x, weight.shape[0]):
        return convolved(x, weight, bias, padding=1, add=add, relu=relu, over=over)
    bias, add = None if bias is None else bias.repeat(2), None if add is None else paired(add)
    return parted(convolved(x, doubled(weight), bias, padding=1, step=2, add=add, relu=relu, over=over))


def fuses(device: torch.device) -> bool:
    """Whether a convolution adds a tensor and applies a ReLU in the same pass, in what the device computes in."""
    return device.type == "cpu" and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


def convolved(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    padding: int,
    step: int = 1,
    add: Tensor | None = None,
    relu: bool = False,
    over: bool = False,
) -> Tensor:
    """Convolution, + ``add``, ReLU, in one pass where oneDNN offers it; ``step`` is the stride across.

    ``over``: the result may take the place of ``add``. The operators are those behind torch.compile's CPU backend,
    called here without a compiler on the user's machine.
    """
    has_bf16 = x.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    if not fuses(x.device) or not (x.dtype == torch.float32 or has_bf16):
        y = functional.conv2d(x, weight, bias, stride=(1, step), padding=padding)
        y = y if add is None else y.add_(add)
        return y.relu_() if relu else y
    operators, geometry = torch.ops.mkldnn, ([padding, padding], [1, step], [1, 1], 1)
    fused: Tensor
    if add is None:
        fused = operators._convolution_pointwise(x, weight, bias, *geometry, "relu" if relu else "none", [], "")
        return fused
    rest: tuple[object, ...] = (weight, bias, *geometry, "add", 1.0, "relu" if relu else None, [], None)
    if over:
        fused = operators._convolution_pointwise_.binary(add, x, *rest)
    else:
        fused = operators._convolution_pointwise.binary(x, add, *rest)
    return fused


def conv_input_grad(grad: Tensor, weight: Tensor, x: Tensor) -> Tensor:
    """Gradient of :func:`conv` in its input x: where that is narrow, the convolution with the kernel turned round."""
    if _pairs(grad, weight.shape[1]):
        turned = weight.flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)
        return conv(grad, turned, None)
    found: Tensor = torch.ops.aten.convolution_backward(
        grad, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, (True, False, False)
    )[0]
    return found


def conv_weight_grad(grad: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of :func:`conv` in its weight and bias."""
    width = weight.shape[0]
    if not _pairs(x, width):
        found = torch.ops.aten.convolution_backward(
            grad, x, weight, [width], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, (False, True, True)
        )
        return found[1], found[2]
    _, double, bias = torch.ops.aten.convolution_backward(
        paired(grad), x, doubled(weight), [2 * width], [1, 2], [1, 1], [1, 1], False, [0, 0], 1, (False, True, True)
    )
    return double[:width, ..., :3] + double[width:, ..., 1:], bias[:width] + bias[width:]


def statistics(x: Tensor, norm: nn.BatchNorm2d) -> Statistics:
    """Of a batch; moves the running statistics of ``norm`` as its forward does. In eval mode the running ones."""
    rows, width = _rows(x), x.shape[1]
    if not norm.training and norm.running_mean is not None and norm.running_var is not None:
        folds = rows.shape[1] // width
        mean, variance = norm.running_mean.repeat(folds), norm.running_var.repeat(folds)
        return Statistics(mean, variance, norm.weight.detach().repeat(folds), norm.eps, held=True)
    unmoved = torch.zeros(rows.shape[1], dtype=norm.weight.dtype)  # its type is that of the result
    means, variances = torch.batch_norm_update_stats(rows, unmoved, unmoved, 0.0)
    mean = _averaged(means, width)
    away = means - mean
    variance = _averaged(torch.addcmul(variances, away, away), width)
    _move(norm, mean[:width], variance[:width], x.numel() // width)
    return Statistics(mean, variance, norm.weight.detach().repeat(len(mean) // width), norm.eps)


def scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """s and b of BN(x) = s x + b in eval mode."""
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def joint(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of the convolution followed by the normalisation in eval mode."""
    scale, shift = scale_and_shift(norm)
    assert conv.bias is not None
    return conv.weight * scale.view(-1, 1, 1, 1), conv.bias * scale + shift


def _move(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int) -> None:
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked.add_(1)
    share = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, share)
    norm.running_var.mul_(1 - share).add_(variance, alpha=share * count / max(1, count - 1))


def normalised(x: Tensor, found: Statistics, bias: Tensor) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias."""
    shift = bias.repeat(len(found.mean) // x.shape[1])
    return _affine(x, found, found.mean, shift)


def norm_grads(grad: Tensor, x: Tensor, found: Statistics) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of :func:`normalised` in x (through the statistics too), weight and bias."""
    width, rows = x.shape[1], _rows(x)
    folds, count = len(found.mean) // width, x.numel() // width
    _, in_weight, in_bias = torch.ops.aten.native_batch_norm_backward(
        _rows(grad), rows, None, found.mean, found.variance, None, None, False, found.eps, (False, True, True)
    )
    in_weight, in_bias = _averaged(in_weight, width), _averaged(in_bias, width)
    if found.held:
        zero = torch.zeros_like(found.mean)
        return _affine(grad, found, zero, zero), in_weight[:width] * folds, in_bias[:width] * folds
    # weight / deviation * (grad - mean(grad) - normalised x * mean(grad * normalised x)), as two affine passes.
    share = -folds / count
    slope = (found.weight * in_weight).div_(found.variance + found.eps).mul_(share)
    in_x = _affine(grad, found, in_bias * -share, torch.mul(slope, found.mean).neg_())
    _rows(in_x).addcmul_(rows, slope.to(x.dtype).view(1, -1, 1, 1))
    return in_x, in_weight[:width] * folds, in_bias[:width] * folds


def _affine(x: Tensor, found: Statistics, mean: Tensor, shift: Tensor) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + shift in one pass, scales in full precision."""
    y = torch.native_batch_norm(_rows(x), found.weight, shift, mean, found.variance, False, 0.0, found.eps)[0]
    return y.as_strided(x.shape, x.stride())


def _averaged(values: Tensor, width: int) -> Tensor:
    """(f C,) with each channel's mean over the f pixels in the place of its f values, in one small product."""
    folds = len(values) // width
    mean = torch.full((folds, folds), 1 / folds, dtype=values.dtype)
    return torch.mm(mean, values.view(folds, width)).view(-1)


def _rows(x: Tensor) -> Tensor:
    """(pixels / f, f C, 1, 1) on the memory of x."""
    count, width, height, length = x.shape
    pixels, folds = count * height * length, 1
    while 2 * folds * width <= ROW and pixels % (2 * folds) == 0:
        folds *= 2
    return x.as_strided((pixels // folds, folds * width, 1, 1), (folds * width, 1, 1, 1))


def _pairs(x: Tensor, width: int) -> bool:
    return width <= NARROW and x.shape[3] % 2 == 0


def doubled(weight: Tensor) -> Tensor:
    """(O, I, 3, 3) -> (2 O, I, 3, 4): the kernel of the left pixel, then that of the right one."""
    pair = torch.stack([functional.pad(weight, (0, 1)), functional.pad(weight, (1, 0))])
    return pair.flatten(0, 1).contiguous(memory_format=torch.channels_last)


def parted(pairs: Tensor) -> Tensor:
    """(N, 2 C, H, W / 2) -> (N, C, H, W) on the same memory."""
    count, width, height, length = pairs.shape
    return pairs.permute(0, 2, 3, 1).view(count, height, 2 * length, width // 2).permute(0, 3, 1, 2)


def paired(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, 2 C, H, W / 2) on the same memory."""
    count, width, height, length = x.shape
    return x.permute(0, 2, 3, 1).view(count, height, length // 2, 2 * width).permute(0, 3, 1, 2)
