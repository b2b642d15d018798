"""Norms that train in channels_last: what torch's own give, by another way."""

import pytest
import torch
from torch import nn

from gan_zoo.norms import GroupNorm, InstanceNorm2d


def trained(norm: nn.Module, x: torch.Tensor, weight: torch.Tensor) -> list[torch.Tensor]:
    """The answer, and the gradients of what it was asked and of its parameters."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    norm.zero_grad()
    y = norm(x)
    (y.float() * weight).sum().backward()
    assert x.grad is not None
    return [y.detach().float(), x.grad.float(), *(p.grad.clone() for p in norm.parameters() if p.grad is not None)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (GroupNorm(8, 48), nn.GroupNorm(8, 48)),
        (InstanceNorm2d(48), nn.InstanceNorm2d(48)),
        (InstanceNorm2d(48, affine=True), nn.InstanceNorm2d(48, affine=True)),
    ],
    ids=["group", "instance", "affine"],
)
def test_norms_are_those_of_torch(ours, theirs, dtype, layout):
    torch.manual_seed(0)
    for p in ours.parameters():
        nn.init.normal_(p)
    theirs.load_state_dict(ours.state_dict())
    x = (3 * torch.randn(3, 48, 20, 17) + torch.randn(3, 48, 1, 1)).to(dtype).contiguous(memory_format=layout)
    weight = torch.randn(x.shape)
    exact = trained(theirs, x.float().contiguous(), weight)
    results = trained(ours, x, weight)
    assert len(results) == len(exact)
    for result, wanted in zip(results, exact):
        error = (result - wanted).abs().max() / wanted.abs().max()
        assert error < (1e-5 if dtype is torch.float32 else 2e-2)


def test_a_norm_of_one_sample_has_no_part_in_another():
    torch.manual_seed(0)
    x = torch.randn(2, 32, 16, 16).bfloat16().contiguous(memory_format=torch.channels_last)
    for norm in (GroupNorm(8, 32), InstanceNorm2d(32)):
        alone = trained(norm, x[:1], torch.ones(1))
        both = trained(norm, x, torch.tensor([1.0, 0.0]).view(2, 1, 1, 1))
        torch.testing.assert_close(both[0][:1], alone[0])
        torch.testing.assert_close(both[1][:1], alone[1])
        assert both[1][1].abs().max() < 1e-6
