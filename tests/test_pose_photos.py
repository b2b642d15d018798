"""The pose plugin's training for photos: masks, single pictures that teach by themselves, other grounds."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from gan_zoo.plugins.pose import PoseFinder, PosePhotos, figures, finding, photographing, photos, poses, scenes, singles
from gan_zoo.plugins.pose.filling import filled
from gan_zoo.plugins.pose.networks import CoarseGenerator, _apart
from gan_zoo.plugins.pose.pairs import Pairs, People
from gan_zoo.plugins.pose.pipeline import PosePipeline
from gan_zoo.plugins.pose.plugin import Pose
from gan_zoo.plugins.pose.singles import Singles, Turns
from gan_zoo.plugins.pose.warping import carry, without
from tests.test_pose import TINY, Sees, scene
from tests.test_pose import weights as weights


def standing_in_a_skirt() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A red person with a broad red skirt on green: (1, 3, 128, 64), the mask, and the pose."""
    pose = torch.from_numpy(poses.POSES["standing"]())[None].float()
    mask = torch.zeros(1, 1, 128, 64)
    mask[..., 20:62, 24:40] = 1
    mask[..., 66:85, 9:55] = 1  # the skirt, far beyond the thighs
    picture = torch.tensor([-1.0, 1, -1]).view(1, 3, 1, 1) * torch.ones(1, 3, 128, 64)
    return torch.where(mask > 0, picture.flip(1).roll(2, 1), picture), mask, pose


def test_with_a_mask_clothes_come_along_and_the_ground_does_not():
    picture, mask, pose = standing_in_a_skirt()
    moved = pose + torch.tensor([0.1, 0, 0])
    bare, worn = carry(picture, pose, moved), carry(picture, pose, moved, mask)
    seen = worn.layers[0, :, 3].amax(0)
    wanted = mask[0, 0].roll(round(0.1 * 64), 1) > 0
    assert (seen[wanted] > 0.5).float().mean() > 0.9 and (seen[~wanted] > 0.5).float().mean() < 0.05
    skirt = torch.zeros(128, 64, dtype=torch.bool)
    skirt[70:82, 16:20] = True
    assert seen[skirt].mean() > 0.9 > 0.7 > bare.layers[0, :, 3].amax(0)[skirt].mean()
    green = (bare.worn() - worn.worn())[0, 1][~wanted]
    assert green.max() > 0.5, "without the mask the ground comes along"
    assert (worn.ground[0, 0] > 0).float().mean() < 0.05, "nothing of the person is left in the ground"


def test_a_pixel_is_ground_or_person():
    torch.manual_seed(0)
    picture, mask, pose = standing_in_a_skirt()
    made = CoarseGenerator((16, 16, 16), True, 128, masked=True)(picture, carry(picture, pose, pose, mask))
    assert made.person.shape == (1, 1, 128, 64) and made.person.min() >= 0 and made.person.max() <= 1
    on = mask > 0
    assert made.person[on].mean() > made.person[~on].mean() + 0.3, "layers come first before anything is learned"


def people(count: int = 20) -> People:
    return figures.people_of(None, "train", 128, 64, count)


@pytest.mark.parametrize("training", [True, False])
def test_one_picture_teaches_by_itself(training):
    those = people()
    data = Singles(those, 3, training)
    batch, again = data.batch(range(12)), data.batch(range(4, 8))
    assert all(torch.equal(batch[name][4:8], again[name]) for name in batch)
    known = {picture.numpy().tobytes() for picture in those.pictures}
    as_it_is = [((x + 1) * 127.5).round().byte().numpy().tobytes() in known for x in batch["target"]]
    assert all(as_it_is) if not training else any(as_it_is)  # else mirrored
    apart = (batch["source"] - batch["target"]).abs().mean(dim=(1, 2, 3))
    assert (apart > 0.01).float().mean() > 0.8, "a source is its target"
    gone = those.poses.copy()
    gone[:, [4, 10]] = 0
    lame = Singles(People(those.pictures, gone, those.persons, those.masks), 3, training).batch(range(8))
    assert (lame["source_pose"][:, :, 2] > 0).sum(1).max() <= 16, "a joint that the photo does not show was made up"


def test_data_sets_take_turns_and_lose_none():
    one, other = (Singles(people(), seed, True) for seed in (1, 2))
    both = Turns([one, other])
    batch = both.batch(range(6, 10))
    for i, (part, number) in enumerate(((one, 3), (other, 3), (one, 4), (other, 4))):
        assert torch.equal(batch["source"][i], part.batch(range(number, number + 1))["source"][0])
    assert len(both) == 2 * len(one)


def test_pairs_stand_before_the_same_other_ground():
    those = people()
    grounds = torch.full((1, 3, 64, 64), 255, dtype=torch.uint8)
    batch = Pairs(those, 0, True, grounds=grounds).batch(range(16))
    white = [(x * (1 - m) + m > 0.95).all(0).float().mean() for x, m in zip(batch["target"], batch["target_mask"])]
    assert np.mean(np.array(white) > 0.9) > 0.4
    pairs = zip(batch["source"], batch["target"])
    corners = torch.stack([(a[:, :3, :3] - b[:, :3, :3]).abs().max() for a, b in pairs])
    assert (corners[torch.tensor(white) > 0.9] < 0.1).all()


def test_generators_for_photos_learn_beside_a_finder_that_stays(weights, tmp_path):
    finder = PoseFinder(finding.Settings(finds_for=weights, drawn=20))  # pyright: ignore[reportArgumentType]
    found = finder.train(out=tmp_path / "found", steps=1, batch_size=2, evaluate_count=2, trackers="", precision="fp32")
    settings = photographing.Settings(**TINY, found_by=str(found), face=0.1)
    plugin = PosePhotos(settings)  # pyright: ignore[reportArgumentType]
    out = plugin.train(
        out=tmp_path / "run", steps=4, batch_size=2, evaluate_count=4, trackers="", precision="fp32", log_every=1
    )
    made = plugin.load(str(out))
    assert made.coarse.config["masked"]
    pairs = zip(made.finder.parameters(), plugin.load(str(found)).finder.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert any("g/person" in line for line in log) and any("g/face" in line for line in log)


def test_one_picture_each_is_scored_by_what_is_mended_and_what_is_moved(weights):
    made = Pose().load(weights)
    pipeline = PosePipeline(Sees(16, 16), made.coarse, made.refining)
    plugin = PosePhotos(photographing.Settings(**TINY))  # pyright: ignore[reportArgumentType]
    scores = plugin.evaluate(pipeline, Singles(people(), 0, False), 8).scores
    assert {"mask_ssim", "mask_ssim_of_source", "kid_x1000_moved"} <= set(scores) and "joint_error" not in scores


def test_a_photo_shows_the_person_where_the_generator_says_so(weights, tmp_path):
    """Of masked generators: no second look of the finder is asked for."""
    made = Pose().load(weights)
    torch.manual_seed(0)
    pipeline = PosePipeline(Sees(16, 16), CoarseGenerator((16, 16, 16), True, 128, masked=True), made.refining)
    picture, joints = scene((320, 360), (120, 190), 240)
    picture.save(tmp_path / "photo.png")
    given = json.dumps(poses.of_pixels(joints, picture.size))
    found = scenes.scene_of(pipeline, str(tmp_path / "photo.png"), given)
    assert isinstance(found, scenes.PhotoScene)
    looks: list[int] = []
    pipeline.finder.register_forward_pre_hook(lambda *_: looks.append(1))
    box = photos.box_of(found.person, picture.size)
    inside = photos.mask_in(box, found.person.mask, picture.size, 128)
    assert 0.1 < inside.mean() < 0.6 and inside[..., :4, :].max() < 0.1
    (moved,) = found.move(box.shares(joints)[None], True)
    assert not looks and moved.refined.size == picture.size
    assert singles.laid(carry(torch.zeros(1, 3, 128, 64), *(torch.zeros(1, 18, 3),) * 2))[1].max() == 0


def test_behind_a_person_stripes_go_on():
    """Where fog would be the mean of both colours, patches bring the pattern on; the rest stays as it was."""
    rows = torch.arange(96)[:, None].expand(-1, 80)
    wall = (rows // 8 % 2).float()[None, None].expand(1, 3, -1, -1) * 2 - 1
    gone = torch.zeros(1, 1, 96, 80)
    gone[..., 20:80, 30:52] = 1
    marked = torch.where(gone > 0, torch.tensor([1.0, -1, -1]).view(1, 3, 1, 1), wall)
    whole, hole = filled(marked, gone), gone.expand(1, 3, -1, -1) > 0
    assert torch.equal(whole[~hole], wall[~hole])
    assert (whole - wall)[hole].abs().mean() < 0.4 < (without(marked, gone) - wall)[hole].abs().mean()
    assert (whole[:, 0] - whole[:, 1]).abs().max() < 0.1, "the person's red shines through"


@pytest.mark.parametrize("size", [(40, 30), (400, 60), (1500, 64)])
def test_where_next_to_nothing_is_left_a_ground_is_made_all_the_same(size):
    picture, gone = torch.zeros(1, 3, *size), torch.ones(1, 1, *size)
    for left in (0, 2):
        gone[..., :left] = 0
        assert filled(picture, gone).isfinite().all()
    assert torch.equal(filled(picture, gone * 0), picture)


def test_of_several_people_the_one_at_a_place_is_meant(weights, tmp_path):
    made = Pose().load(weights)
    finder = Sees(16, 16)
    left, joints = scene((640, 360), (120, 190), 240)
    right, _ = scene((640, 360), (500, 190), 160)
    both = Image.fromarray(np.where(np.arange(640)[:, None] < 320, np.asarray(left), np.asarray(right)))
    found = [photos._somebody(finder, both, at) for at in (None, (120, 190), (500, 190), (470, 180))]
    assert found[0] == found[1] and found[2] == found[3]
    assert found[0][2] < 320 < found[2][0]
    with pytest.raises(ValueError, match="at: nobody was found at that place"):
        photos._somebody(finder, both, (310, 20))
    both.save(tmp_path / "both.png")
    pipeline = PosePipeline(finder, made.coarse, made.refining)
    for wrong in ("there", "700, 20", "1, 2, 3", "nan, 4"):
        with pytest.raises(ValueError, match="at: expected 'x, y' in the picture's 640 x 360 pixels"):
            scenes.scene_of(pipeline, str(tmp_path / "both.png"), "", at=wrong)
    known = photos.find(finder, Image.new("RGB", (300, 400)), joints * (0.5, 1, 1))
    assert known.mask.max() == 1, "where joints are given, a person is, seen or not"


def test_two_ankles_are_not_found_on_one_foot():
    """The surer one stays; the other is found where else it is nearly as sure, or stays too: feet may be crossed."""
    bumps = torch.zeros(3, 18, 64, 48)
    bumps[:, 13, 50, 30] = 0.9
    bumps[:, 10, 51, 31] = 0.6
    bumps[0, 10, 50, 12] = 0.5
    bumps[1, 10, 50, 12] = 0.1
    bumps[2, 10, 51, 31], bumps[2, 10, 20, 40] = 0.0, 0.6  # elsewhere from the start
    apart = _apart(bumps).flatten(2).argmax(-1)
    assert apart[:, 13].tolist() == [50 * 48 + 30] * 3
    assert apart[:, 10].tolist() == [50 * 48 + 12, 51 * 48 + 31, 20 * 48 + 40]
    assert torch.equal(_apart(bumps)[1:], bumps[1:])


def test_both_generators_have_their_time():
    with pytest.raises(ValueError, match="coarse_share: expected more than 0 and less than 1, got 1"):
        photographing.Settings(coarse_share=1.0)
