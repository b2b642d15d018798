"""Networks of pose-guided generation: a joint finder, coarse and refining generators, two discriminators."""

import math
from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from gan_zoo.features import FeaturePyramid, eyes
from gan_zoo.layers import NormBlock, computed, doubled, doubled_conv
from gan_zoo.norms import GroupNorm
from gan_zoo.plugins.pose.skeleton import heatmaps
from gan_zoo.plugins.pose.warping import LAYERS, PLANES, Warped

JOINTS = 18
PAIRS = ((3, 6), (4, 7), (9, 12), (10, 13))  # elbows, wrists, knees, ankles
REACH, NEARLY = 3, 0.7  # cells within which two joints are at one place; how high another bump of one's own must be


class PlainBlock(nn.Module):
    """x + conv(act(conv(act(x)))), without normalisation, so that colours keep their absolute values."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.kaiming_normal_(self.conv1.weight, 0.2)
        nn.init.normal_(self.conv2.weight, std=0.1 / math.sqrt(9 * channels))  # begins close to the identity

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.leaky_relu(self.conv1(F.leaky_relu(x, 0.2)), 0.2))


class UNet(nn.Module):
    """A U-Net (Ronneberger et al. 2015) of residual blocks: (B, in, H, W) -> (B, channels[0], H, W).

    H and W are multiples of 2 ** (len(channels) - 1). The stem is a 1x1 convolution: its inputs are pictures whose 4 x
    4 pixels have become channels.
    """

    def __init__(self, in_channels: int, channels: Sequence[int]):
        super().__init__()
        pairs = list(zip(channels, channels[1:]))
        self.stem = nn.Conv2d(in_channels, channels[0], 1)
        self.encoder = nn.ModuleList(PlainBlock(c) for c in channels[:-1])
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairs)
        self.middle = nn.Sequential(PlainBlock(channels[-1]), PlainBlock(channels[-1]))
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairs)
        self.decoder = nn.ModuleList(PlainBlock(c) for c in channels[:-1])

    def forward(self, x: Tensor) -> Tensor:
        x, skips = self.stem(x), []
        for block, down in zip(self.encoder, self.down):
            skips.append(block(x))
            x = down(F.leaky_relu(skips[-1], 0.2))
        x = self.middle(x)
        for block, up, skip in reversed(list(zip(self.decoder, self.up, skips))):
            x = block(doubled(up(x)) + skip)
        return x


class JointFinder(ModelMixin, ConfigMixin):
    """Where are the joints? Pictures (B, 3, H, W) in [-1, 1] -> logits of places and of presence.

    H and W are multiples of 32; it learns, and is used, at a height of `looks_at`.
    """

    looks_at = 128

    @register_to_config
    def __init__(self, channels: Sequence[int] = (48, 96, 128, 192)):
        super().__init__()
        self.net = UNet(48, channels)
        self.places = nn.Conv2d(channels[0], JOINTS, 3, padding=1)
        self.presence = nn.Conv2d(channels[0], JOINTS, 3, padding=1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """-> (B, 18, H / 4, W / 4), a softmax over which tells where a joint is, and (B, 18): is it there?"""
        x = F.leaky_relu(self.net(F.pixel_unshuffle(pictures.to(self.dtype), 4)), 0.2)
        places = self.places(x)
        # Presence is read where the joint would be.
        where = places.detach().flatten(2).softmax(-1)
        return places.float(), (self.presence(x).flatten(2) * where).sum(-1).float()

    @torch.no_grad()
    def find(self, pictures: Tensor) -> Tensor:
        """Poses (B, 18, 3): each joint at the centre of the likeliest 3 x 3 places; confidence 0 where unlikely."""
        places, presence = self(pictures)
        likely = places.flatten(2).softmax(-1).view_as(places)
        near = F.avg_pool2d(likely, 3, stride=1, padding=1)
        best = near.flatten(2).argmax(-1)  # (B, 18)
        x, y = _centres(likely, best, 1)
        there = presence.sigmoid()
        there = torch.where(there > 0.5, there, 0.0)
        return torch.stack([x, y, there], dim=-1)


def _centres(maps: Tensor, best: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Of each map (B, N, H, W) the centre of gravity around its place `best` (B, N), no farther than `reach` from it:
    x and y (B, N) as shares of width and height.
    """
    height, width = maps.shape[2:]
    rows = torch.arange(height, device=maps.device).view(-1, 1)
    columns = torch.arange(width, device=maps.device).view(1, -1)
    row, column = (best // width)[..., None, None], (best % width)[..., None, None]
    window = maps * (((rows - row).abs() <= reach) & ((columns - column).abs() <= reach))
    window = window / window.sum((2, 3), keepdim=True).clamp(min=1e-9)
    return (window * (columns + 0.5)).sum((2, 3)) / width, (window * (rows + 0.5)).sum((2, 3)) / height


def joint_loss(places: Tensor, presence: Tensor, poses: Tensor) -> Tensor:
    """What a JointFinder gives, against poses (B, 18, 3): cross-entropy of places with Gaussian bumps, and of presence.

    Joints outside the picture count as missing.
    """
    wanted = heatmaps(poses, *places.shape[2:], sigma=0.015).flatten(2)
    inside = (poses[..., 2] > 0) & ((poses[..., :2] - 0.5).abs() <= 0.5).all(-1)
    wanted = wanted * inside[..., None] / wanted.sum(-1, keepdim=True).clamp(min=1e-6)
    apart = -(wanted * places.flatten(2).log_softmax(-1)).sum() / inside.sum().clamp(min=1)
    return apart + F.binary_cross_entropy_with_logits(presence, inside.float())


class SeeingFinder(ModelMixin, ConfigMixin):
    """Where are the joints in a photo, and which pixels are the person's? A small head on the frozen Lite0.

    Args:
        deep, width: channels at 1/32 to 1/8, and at 1/4.
    """

    looks_at = 256
    SURE = 0.2  # height of a bump from which a joint counts as found

    @register_to_config
    def __init__(self, deep: int = 128, width: int = 64):
        super().__init__()
        self.see4 = nn.Conv2d(FeaturePyramid.channels[0], width, 1)
        self.see8, self.see16, self.see32 = (nn.Conv2d(c, deep, 1) for c in FeaturePyramid.channels[1:])
        self.body32, self.body16, self.body8 = (nn.Sequential(NormBlock(deep), NormBlock(deep)) for _ in range(3))
        self.narrow = nn.Conv2d(deep, width, 1)
        self.body4 = NormBlock(width)
        self.out = nn.Conv2d(width, JOINTS + 1, 1)
        nn.init.constant_(cast(Tensor, self.out.bias), -3.0)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) in [-1, 1], H and W multiples of 32 -> logits at a quarter of the size: bumps at the joints
        (B, 18, H / 4, W / 4), and the person's mask (B, 1, H / 4, W / 4).
        """
        with torch.no_grad():
            m4, m8, m16, m32 = (m.to(self.see4.weight.dtype) for m in eyes(pictures.device)(pictures))
        x = self.body32(self.see32(m32))
        x = self.body16(doubled(x) + self.see16(m16))
        x = self.body8(doubled(x) + self.see8(m8))
        x = self.out(self.body4(doubled(self.narrow(x)) + self.see4(m4))).float()
        return x[:, :JOINTS], x[:, JOINTS:]

    @torch.no_grad()
    def look(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """-> poses (B, 18, 3), each joint at the centre of its bump, confidence 0 where there is none; and masks
        (B, 1, H, W) in [0, 1].
        """
        bumps, masks = self(pictures)
        bumps = _apart(bumps.sigmoid())
        x, y = _centres(bumps, bumps.flatten(2).argmax(-1), 2)
        sure = bumps.flatten(2).amax(-1)
        there = torch.where(sure > self.SURE, sure, 0.0)
        poses = torch.where(there[..., None] > 0, torch.stack([x, y, there], -1), 0.0)
        return poses, F.interpolate(masks, scale_factor=4, mode="bilinear").sigmoid()

    def find(self, pictures: Tensor) -> Tensor:
        """Poses (B, 18, 3), as a JointFinder gives them."""
        return self.look(pictures)[0]


def _apart(bumps: Tensor) -> Tensor:
    """Bumps (B, 18, H, W) in [0, 1] without those by which a left joint was found on the right one, or vice versa.

    Where both are highest at one place, the lower of the two is taken off there, if it has another nearly as high.
    """
    height, width = bumps.shape[2:]
    rows, columns = torch.arange(height, device=bumps.device)[:, None], torch.arange(width, device=bumps.device)
    bumps = bumps.clone()
    for pair in PAIRS:
        most, at = bumps[:, pair].flatten(2).max(-1)  # (B, 2)
        loser = most.argmin(1)
        of = torch.arange(len(bumps), device=bumps.device)
        best = at[of, 1 - loser]
        near = ((rows - best[:, None, None] // width).abs() <= REACH) & (
            (columns - best[:, None, None] % width).abs() <= REACH
        )
        joint = torch.tensor(pair, device=bumps.device)[loser]
        other = bumps[of, joint].masked_fill(near, 0.0)
        own = at[of, loser]
        same = near.flatten(1)[of, own] & (other.amax((1, 2)) > NEARLY * most[of, loser])
        bumps[of, joint] = torch.where(same[:, None, None], other, bumps[of, joint])
    return bumps


def finding_loss(bumps: Tensor, masks: Tensor, poses: Tensor, known: Tensor) -> dict[str, Tensor]:
    """What a SeeingFinder gives, against poses (B, 18, 3) and masks (B, 1, H / 4, W / 4): cross-entropies, that of the
    joints weighted 21 times at the top of a bump, since all else is ground.
    """
    wanted = heatmaps(poses, *bumps.shape[2:], sigma=0.022)
    joints = F.binary_cross_entropy_with_logits(bumps, wanted, reduction="none") * (1 + 20 * wanted)
    return {"joints": 5 * joints.mean(), "mask": F.binary_cross_entropy_with_logits(masks, known)}


class Block(NormBlock):
    """A residual block whose change begins at a third."""

    def __init__(self, width: int):
        super().__init__(width)
        nn.init.constant_(self.norm2.weight, 0.3)


def _doubled(x: Tensor, conv: nn.Conv2d) -> Tensor:
    return doubled_conv(x, conv.weight, conv.bias)


class Coarse(NamedTuple):
    """What G1 makes: the picture (B, 3, H, W), and how much of each pixel is the person, (B, 1, H, W) in [0, 1]."""

    picture: Tensor
    person: Tensor


class CoarseGenerator(ModelMixin, ConfigMixin):
    """G1 (Ma et al. 2017, section 3.2): source and poses -> a coarse picture.

    A U-Net at 1/4, 1/8 and 1/16. Each pixel of the result is a mixture of a colour of its own, the ground and the five
    layers of the body: never of the source itself, offered which it would forge by leaving the pose as it is. It thinks
    at a height of 128; larger pictures are mixed, from their own layers, at their own size.

    Args:
        widths: channels at 1/4, 1/8, 1/16.
        warped: sees the source carried to the pose. PG2 as published does not: then every colour is its own.
        height: of the pictures it is used on, which are half as wide.
        masked: it learned from masks what of its pictures is the person, and sees sources with theirs.
    """

    thinks_at = 128

    @register_to_config
    def __init__(
        self, widths: Sequence[int] = (64, 96, 128), warped: bool = True, height: int = 256, masked: bool = False
    ):
        super().__init__()
        a, b, c = widths
        planes = 3 + (3 + 4 * len(LAYERS) if warped else 0)
        self.stem = nn.Conv2d(planes * 16 + (PLANES if warped else JOINTS), a, 1)
        self.stem_norm = GroupNorm(16, a)
        self.in1, self.out1 = Block(a), Block(a)
        self.down1, self.up1 = nn.Conv2d(a, b, 4, stride=2, padding=1), nn.Conv2d(b, a, 3, padding=1)
        self.in2, self.out2 = nn.Sequential(Block(b), Block(b)), nn.Sequential(Block(b), Block(b))
        self.down2, self.up2 = nn.Conv2d(b, c, 4, stride=2, padding=1), nn.Conv2d(c, b, 3, padding=1)
        self.middle = nn.Sequential(Block(c), Block(c))
        self.up3, self.up4 = nn.Conv2d(a, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1)
        self.out = nn.Conv2d(32, 3 + (2 + len(LAYERS) if warped else 0), 3, padding=1)
        if warped:  # the layers first, the ground next, colours of its own last
            start = torch.tensor([0.0] * 3 + [-1.0, 0.0] + [1.0] * len(LAYERS))
            cast(Tensor, self.out.bias).data.copy_(start)

    def forward(self, source: Tensor, seen: Warped) -> Coarse:
        """source (B, 3, H, W) in [-1, 1], H a multiple of `thinks_at`, and what `carry` made of it."""
        warped = self.config["warped"]
        times = source.shape[2] // self.thinks_at
        x = torch.cat([source, seen.planes()], dim=1) if warped else source
        x = F.avg_pool2d(x, times) if times > 1 else x
        pose = seen.pose if warped else seen.pose[:, JOINTS : 2 * JOINTS]
        x, pose = computed(x.to(self.dtype)), computed(pose.to(self.dtype))
        x = torch.cat([F.pixel_unshuffle(x, 4), pose], dim=1)
        h1 = self.in1(F.relu(self.stem_norm(self.stem(x))))
        h2 = self.in2(F.relu(self.down1(h1)))
        h3 = self.middle(F.relu(self.down2(h2)))
        h2 = self.out2(h2 + _doubled(h3, self.up2))
        h1 = self.out1(h1 + _doubled(h2, self.up1))
        h = F.leaky_relu(_doubled(h1, self.up3), 0.2)
        out = self.out(F.leaky_relu(_doubled(h, self.up4), 0.2)).float()
        if times > 1:
            out = F.interpolate(out, scale_factor=times, mode="bilinear")
        colour, logits = torch.tanh(out[:, :3]), out[:, 3:]
        return mixed(colour, logits, seen) if warped else Coarse(colour, torch.ones_like(colour[:, :1]))


def mixed(colour: Tensor, logits: Tensor, seen: Warped) -> Coarse:
    """A softmax per pixel over colour (B, 3, H, W), ground and layers: logits (B, 7, H, W). What is not ground is the
    person. Nothing is to be had of a layer where it is empty.
    """
    opacity = seen.layers[:, :, 3]  # (B, 5, H, W)
    share = torch.softmax(torch.cat([logits[:, :2], logits[:, 2:] + torch.log(opacity + 1e-3)], 1), 1)
    straight = seen.layers[:, :, :3] / opacity[:, :, None].clamp(min=1e-3)
    ground = share[:, 1:2]
    return Coarse(share[:, :1] * colour + ground * seen.ground + (share[:, 2:, None] * straight).sum(1), 1 - ground)


class RefiningGenerator(ModelMixin, ConfigMixin):
    """G2 (Ma et al. 2017, section 3.3): source and coarse picture -> a difference map that sharpens the latter.

    Args:
        widths: channels at 1/4 and 1/8 of the resolution.
        warped: sees the layers and poses too; PG2 as published sees source and coarse alone.
    """

    @register_to_config
    def __init__(self, widths: Sequence[int] = (48, 96), warped: bool = True):
        super().__init__()
        a, b = widths
        planes = 6 + (3 + 4 * len(LAYERS) if warped else 0)
        self.stem = nn.Conv2d(planes * 16, a, 1)
        self.in1, self.out1 = Block(a), Block(a)
        self.down, self.up = nn.Conv2d(a, b, 4, stride=2, padding=1), nn.Conv2d(b, a, 3, padding=1)
        self.pose = nn.Conv2d(PLANES, b, 1) if warped else None
        self.middle = nn.Sequential(Block(b), Block(b), Block(b))
        self.up1, self.up2 = nn.Conv2d(a, 32, 3, padding=1), nn.Conv2d(32, 24, 3, padding=1)
        self.out = nn.Conv2d(24, 3, 3, padding=1)
        nn.init.normal_(self.out.weight, std=0.003)
        nn.init.zeros_(cast(Tensor, self.out.bias))

    def forward(self, coarse: Tensor, source: Tensor, seen: Warped) -> Tensor:
        """coarse, source (B, 3, H, W), about [-1, 1] -> the refined picture, the same."""
        x = torch.cat([coarse, source, seen.planes()] if self.config["warped"] else [coarse, source], dim=1)
        h = self.in1(F.relu(self.stem(F.pixel_unshuffle(computed(x.to(self.dtype)), 4))))
        m = self.down(h)
        if self.pose is not None:
            pose = self.pose(seen.pose.to(self.dtype))
            m = m + F.interpolate(pose, size=m.shape[2:], mode="bilinear")
        h = self.out1(h + _doubled(self.middle(F.relu(m)), self.up))
        h = F.leaky_relu(_doubled(h, self.up1), 0.2)
        h = F.leaky_relu(_doubled(h, self.up2), 0.2)
        return coarse + self.out(h).float()


class PairDiscriminator(ModelMixin, ConfigMixin):
    """PG2's D (Ma et al. 2017, section 3.3): DCGAN-like, tells (source, target) from (source, refined)."""

    @register_to_config
    def __init__(self, width: int = 64):
        super().__init__()
        widths = [6, width, 2 * width, 4 * width, 8 * width]
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(zip(widths, widths[1:])):
            norm = nn.GroupNorm(8, b) if i else nn.Identity()
            layers += [nn.Conv2d(a, b, 5, stride=2, padding=2), norm, nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, (8, 4)))

    def forward(self, pictures: Tensor, source: Tensor) -> Tensor:
        """(B, 3, H, W) twice, at least 128 x 64 -> logits (B, places)."""
        return self.layers(torch.cat([pictures, source], dim=1)).flatten(1).float()
