"""The stages of the residual U-Net in training mode on a processor: the same results, fewer passes over memory.

Gradients are written out by hand: a block is one node of autograd's graph instead of nine. The weights are those of
the modules; what is computed, up to rounding, is what their own ``forward`` computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from labeler.networks import passes

if TYPE_CHECKING:
    from labeler.networks.residual_unet import ResidualBlock, Stage

WIDEST = 16


def suits(x: Tensor, *, training: bool) -> bool:
    """True where this module may stand in for the modules: training on a processor."""
    return training and x.device.type == "cpu" and x.is_floating_point()


def suits_stage(stage: Stage, x: Tensor) -> bool:
    """True where :func:`run_stage` is faster than the modules.

    Their own kernels fill a vector from 32 channels on; held normalisation costs them passes at any width.
    """
    return suits(x, training=stage.training) and (stage.conv.out_channels <= WIDEST or _is_held(stage.block1))


def run_stage(stage: Stage, parts: tuple[Tensor, ...]) -> Tensor:
    """What the stage computes of its concatenated inputs, in the precision of autocast where that is on."""
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else parts[0].dtype
    parts = tuple(part.to(dtype).contiguous(memory_format=torch.channels_last) for part in parts)
    with torch.autocast("cpu", enabled=False):
        x: Tensor = _Conv.apply(stage.conv.weight, stage.conv.bias, *parts)  # type: ignore[no-untyped-call]
        for block, relu in ((stage.block1, False), (stage.block2, True)):
            kind = _HeldBlock if _is_held(block) else _Block
            x = kind.apply(x, block, relu, *block.parameters())  # type: ignore[no-untyped-call]
    return x


def _is_held(block: ResidualBlock) -> bool:
    """Whether its normalisation keeps its statistics: then it is a part of the convolutions."""
    norms = (block.norm0, block.norm1, block.norm2)
    return all(not norm.training and norm.running_mean is not None for norm in norms)


def run_enlarge(layer: nn.ConvTranspose2d, x: Tensor) -> Tensor:
    """What the transposed 3x3 convolution of stride 2 computes, in the precision of x."""
    with torch.autocast("cpu", enabled=False):
        y: Tensor = _Enlarge.apply(layer.weight, layer.bias, x)  # type: ignore[no-untyped-call]
    return y


class _Enlarge(Function):
    """Transposed 3x3 convolution of stride 2; oneDNN's gradient of its bias takes longer than all the rest."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
        weight = weight.to(x.dtype)
        ctx.save_for_backward(weight, x)
        return functional.conv_transpose2d(x, weight, bias.to(x.dtype), stride=2, padding=1, output_padding=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        weight, x = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        in_x = functional.conv2d(grad, weight, stride=2, padding=1)
        geometry = ([2, 2], [1, 1], [1, 1], False, [0, 0], 1)
        in_weight = torch.ops.aten.convolution_backward(
            x, grad, weight, [weight.shape[0]], *geometry, (False, True, False)
        )[1]
        return in_weight, grad.sum(dim=(0, 2, 3)), in_x


class _Conv(Function):
    """3x3 convolution of several inputs, taken as concatenated."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, *parts: Tensor) -> Tensor:
        weight, bias = weight.to(parts[0].dtype), bias.to(parts[0].dtype)
        ctx.save_for_backward(weight, *parts)
        weights = torch.split(weight, [part.shape[1] for part in parts], dim=1)
        y = passes.conv(parts[0], weights[0], bias)
        for part, piece in zip(parts[1:], weights[1:], strict=True):
            y = passes.conv(part, piece, None, add=y, over=True)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        weight, *parts = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        weights = torch.split(weight, [part.shape[1] for part in parts], dim=1)
        found = [passes.conv_weight_grad(grad, part, piece) for part, piece in zip(parts, weights, strict=True)]
        in_parts = (
            passes.conv_input_grad(grad, piece, part) if wanted else None
            for part, piece, wanted in zip(parts, weights, ctx.needs_input_grad[2:], strict=True)
        )
        return torch.cat([in_weight for in_weight, _ in found], dim=1), found[0][1], *in_parts


class _Block(Function):
    """ReLU, BN, Conv, BN, ReLU, Conv, BN, + x, and optionally ReLU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, block: ResidualBlock, relu: bool, *parameters: Tensor) -> Tensor:
        """``parameters`` are those of ``block``, in their order."""
        weights = [conv.weight.to(x.dtype) for conv in (block.conv1, block.conv2)]
        biases = [conv.bias.to(x.dtype) for conv in (block.conv1, block.conv2) if conv.bias is not None]
        first = torch.relu(x)
        found0 = passes.statistics(first, block.norm0)
        input1 = passes.normalised(first, found0, block.norm0.bias)
        middle = passes.conv(input1, weights[0], biases[0])
        found1 = passes.statistics(middle, block.norm1)
        input2 = passes.normalised(middle, found1, block.norm1.bias).relu_()
        last = passes.conv(input2, weights[1], biases[1])
        found2 = passes.statistics(last, block.norm2)
        y = passes.normalised(last, found2, block.norm2.bias).add_(x)
        y = y.relu_() if relu else y
        ctx.save_for_backward(first, input1, middle, input2, last, y if relu else None, *weights)
        ctx.found = (found0, found1, found2)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        with torch.autocast("cpu", enabled=False):  # the caller may have it on
            in_x, *parameters = _block_grads(ctx, grad.contiguous(memory_format=torch.channels_last))
        return in_x, None, None, *parameters


def _block_grads(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
    """Gradients of a block in its input and its parameters, in their order."""
    first, input1, middle, input2, last, y, weight1, weight2 = ctx.saved_tensors
    found = ctx.found
    grad = grad if y is None else torch.ops.aten.threshold_backward(grad, y, 0)
    inner, *norm2 = passes.norm_grads(grad, last, found[2])
    conv2 = passes.conv_weight_grad(inner, input2, weight2)
    inner = _masked(passes.conv_input_grad(inner, weight2, input2), input2)
    inner, *norm1 = passes.norm_grads(inner, middle, found[1])
    conv1 = passes.conv_weight_grad(inner, input1, weight1)
    inner = passes.conv_input_grad(inner, weight1, input1)
    inner, *norm0 = passes.norm_grads(inner, first, found[0])
    return _masked(inner, first).add_(grad), *norm0, *conv1, *norm1, *conv2, *norm2


class _HeldBlock(Function):
    """The same with statistics that no batch moves: what stands behind a convolution is one pass with it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, block: ResidualBlock, relu: bool, *parameters: Tensor) -> Tensor:
        """``parameters`` are those of ``block``, in their order."""
        first = torch.relu(x)
        found0 = passes.statistics(first, block.norm0)
        input1 = passes.normalised(first, found0, block.norm0.bias)
        weight1, bias1 = (value.to(x.dtype) for value in passes.joint(block.conv1, block.norm1))
        input2 = passes.conv(input1, weight1, bias1, relu=True)
        weight2, bias2 = (value.to(x.dtype) for value in passes.joint(block.conv2, block.norm2))
        y = passes.conv(input2, weight2, bias2, add=x, relu=relu)
        ctx.save_for_backward(first, input1, input2, y if relu else None, weight1, weight2)
        ctx.found0, ctx.block = found0, block
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        first, input1, input2, y, weight1, weight2 = ctx.saved_tensors
        block = ctx.block
        with torch.autocast("cpu", enabled=False):  # the caller may have it on
            grad = grad.contiguous(memory_format=torch.channels_last)
            grad = grad if y is None else torch.ops.aten.threshold_backward(grad, y, 0)
            in_joint2 = passes.conv_weight_grad(grad, input2, weight2)
            inner = _masked(passes.conv_input_grad(grad, weight2, input2), input2)
            in_joint1 = passes.conv_weight_grad(inner, input1, weight1)
            inner = passes.conv_input_grad(inner, weight1, input1)
            inner, *norm0 = passes.norm_grads(inner, first, ctx.found0)
            last = _joint_grads(*in_joint2, block.conv2, block.norm2)
            middle = _joint_grads(*in_joint1, block.conv1, block.norm1)
        return _masked(inner, first).add_(grad), None, None, *norm0, *middle, *last


def _joint_grads(in_weight: Tensor, in_bias: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, ...]:
    """From the gradients of :func:`passes.joint` to those of conv.weight, conv.bias, norm.weight and norm.bias."""
    assert conv.bias is not None
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale, _ = passes.scale_and_shift(norm)
    in_weight, in_bias = in_weight.to(scale.dtype), in_bias.to(scale.dtype)
    # What the scale multiplies, summed over all pixels with their gradients, is the weight times the weight's gradient.
    in_scale = (in_weight * conv.weight).sum(dim=(1, 2, 3)) + in_bias * (conv.bias - norm.running_mean)
    in_norm = in_scale / torch.sqrt(norm.running_var + norm.eps)
    return in_weight * scale.view(-1, 1, 1, 1), in_bias * scale, in_norm, in_bias


def _masked(grad: Tensor, y: Tensor) -> Tensor:
    """Gradient through a ReLU with the result y, in place."""
    torch.ops.aten.threshold_backward.grad_input(grad, y, 0, grad_input=grad)
    return grad
