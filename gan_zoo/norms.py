"""Group and instance norm that train in channels_last without its slow paths. Numbers and parameters are torch's.

PyTorch's own, on a processor in bfloat16: the gradient of a group norm of few channels a group goes element by element
(8 x 32 x 128 x 64 in 16 groups: 30 ms, here 3), and an instance norm copies to contiguous and back, both ways
(4 x 256 x 32 x 32: 8 ms, here 2). Batch norm of one sample has none of this, and both can be said in its terms.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

FEW = 16  # channels a group, from which on PyTorch's own gradient is vectorised
LARGE = 256  # pixels, from which on a loop over samples pays


def _trained_in_channels_last(x: Tensor) -> bool:
    return (
        x.requires_grad
        and x.device.type == "cpu"
        and x.ndim == 4
        and x.is_contiguous(memory_format=torch.channels_last)
        and not x.is_contiguous()
    )


class GroupNorm(nn.GroupNorm):
    """nn.GroupNorm (Wu & He 2018), of one derivative only."""

    def forward(self, input: Tensor) -> Tensor:
        few = self.num_channels // self.num_groups < FEW and input[0, 0].numel() >= LARGE
        if few and input.dtype == torch.bfloat16 and _trained_in_channels_last(input):
            return _GroupNorm.apply(input, self.weight, self.bias, self.num_groups, self.eps)  # pyright: ignore
        return super().forward(input)


class InstanceNorm2d(nn.InstanceNorm2d):
    """nn.InstanceNorm2d (Ulyanov et al. 2016)."""

    def forward(self, input: Tensor) -> Tensor:
        if self.track_running_stats or not _trained_in_channels_last(input):
            return super().forward(input)
        samples = (F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps) for x in input.split(1))
        return torch.cat(list(samples))


class _GroupNorm(torch.autograd.Function):
    """With xhat = (x - mean) / sigma of a group of n numbers, and g the gradient of w xhat + b:

    the gradient of x is (w g - A - xhat B) / sigma, where A and B are the group's means of w g and w g xhat. The sums
    are what batch norm with known statistics gives as gradients of its bias and weight; and all terms but w g / sigma,
    which is its gradient of x, are one number for a channel, plus one times x.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
        n, c, h, w = x.shape
        y, mean, scale = torch.native_group_norm(x, weight, bias, n, c, h * w, groups, eps)
        ctx.save_for_backward(x, mean, scale, weight)
        ctx.groups = groups
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Any:
        x, mean, scale, weight = ctx.saved_tensors
        [grad], groups = grads, ctx.groups
        n, c, h, w = x.shape
        mean, scale = (s.float().repeat_interleave(c // groups, 1) for s in (mean, scale))  # (N, C); scale: 1 / sigma
        variance, known = scale.square().reciprocal(), torch.ops.aten.native_batch_norm_backward
        parts = [
            known(grad[i : i + 1], x[i : i + 1], weight, mean[i], variance[i], None, None, False, 0.0, [True] * 3)
            for i in range(n)
        ]
        of_weight, of_bias = (torch.stack([part[k] for part in parts]) for k in (1, 2))
        sums = (torch.stack([of_bias, of_weight]) * weight).view(2, n, groups, -1).sum(3) / (h * w * c // groups)
        a, b = sums.repeat_interleave(c // groups, 2)
        times, plus = -scale * scale * b, scale * (b * mean * scale - a)
        result, zero, one = torch.empty_like(x), torch.zeros_like(weight), torch.ones_like(weight)
        for i, part in enumerate(parts):
            rest = F.batch_norm(x[i : i + 1], zero, one, times[i], plus[i], False, 0.0, 0.0)
            torch.add(part[0], rest, out=result[i : i + 1])
        return result, of_weight.sum(0), of_bias.sum(0), None, None
