"""The pose plugin: poses as JSON, pairs of people, limbs carried, the two stages, tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, List, Value
from datasets import Image as ImageFeature
from PIL import Image, ImageDraw

from gan_zoo import hub
from gan_zoo.data import DataError
from gan_zoo.plugins.pose import PoseFinder, figures, finding, photos, poses, skeleton
from gan_zoo.plugins.pose.drawn import draw_person
from gan_zoo.plugins.pose.networks import CoarseGenerator, JointFinder, RefiningGenerator, SeeingFinder
from gan_zoo.plugins.pose.pairs import Pairs, read_people, to_pose
from gan_zoo.plugins.pose.pipeline import PosePipeline
from gan_zoo.plugins.pose.plugin import Pose
from gan_zoo.plugins.pose.training import Settings
from gan_zoo.plugins.pose.warping import carry

TINY: dict[str, Any] = {"height": 128, "widths": (16, 16, 16), "refining_widths": (16, 16), "drawn": 20}


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    torch.manual_seed(0)
    coarse, refining = CoarseGenerator((16, 16, 16), True, 128), RefiningGenerator((16, 16))
    made = PosePipeline(JointFinder((16, 16, 16, 16)).eval(), coarse.eval(), refining.eval())
    return str(hub.save(made, tmp_path_factory.mktemp("pose") / "weights", plugin="pose", preset="tiny", card=""))


@pytest.fixture
def person(tmp_path: Path) -> tuple[str, str]:
    """A picture of a person, and its pose as OpenPose JSON."""
    picture, pose = draw_person(1, 0, 256)
    Image.fromarray(picture).save(tmp_path / "person.png")
    return str(tmp_path / "person.png"), json.dumps(poses.to_json(pose, (128, 256)))


# -- poses ------------------------------------------------------------------------------------------------------------


def person_json(x: float = 10, y: float = 20, confidence: float = 1, **more: Any) -> dict[str, Any]:
    """The nose at a place, and the other joints in a row from there."""
    row = [number for i in range(18) for number in (x + i, y + 2 * i, confidence)]
    return {"people": [{"pose_keypoints_2d": row}], **more}


def test_poses_survive_json_in_pictures_of_any_shape():
    pose = poses.POSES["running"]()
    for size in ((128, 256), (300, 300), (1000, 200), (64, 512)):
        again = poses.parse_pose(json.dumps(poses.to_json(pose, size)), size)
        assert np.abs(again - pose).max() < 1e-3


def test_a_canvas_stands_for_the_picture():
    text = json.dumps(person_json(50, 100, canvas_width=100, canvas_height=200))
    assert poses.parse_pose(text, (640, 480))[0].tolist() == [0.5, 0.5, 1.0]
    assert poses.parse_pose(json.dumps(person_json(64, 64)), (128, 256))[0].tolist() == [0.5, 0.25, 1.0]
    wide = poses.parse_pose(json.dumps(person_json(200, 100)), (400, 200))  # of which the middle 100 x 200 count
    assert wide[0].tolist() == [0.5, 0.5, 1.0]


def test_confidence_tells_missing_hidden_and_visible():
    numbers = [v for c in (0, 0.1, 0.7, 1, 5) for v in (10, 10, c)] + [50, 90, 1] * 13
    pose = poses.parse_pose(json.dumps({"people": [{"pose_keypoints_2d": numbers}]}), (128, 256))
    assert pose[:5, 2].tolist() == pytest.approx([0, 0.5, 0.7, 1, 1])
    assert pose[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flying", "'flying' is neither JSON nor one of standing, walking"),
        ("[" * 50_000, "is neither JSON nor one of"),
        ("{}", "found NoneType; expected OpenPose JSON"),
        ('{"people": []}', "there is nobody in it"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}', "found 3 values; expected OpenPose JSON"),
        (json.dumps([[1, 2, "3"]] * 18), "found 54 values"),
        (json.dumps(person_json(float("nan"))), "found 54 values"),
        (json.dumps([[True, 2, 1]] * 18), "found 54 values"),
        (json.dumps(person_json(1e7)), "nose lies far outside a picture of 128 x 256 pixels"),
        (json.dumps(person_json(confidence=0)), "0 joints with a confidence over 0, expected at least 4"),
        (json.dumps(person_json(canvas_width=0, canvas_height=5)), "expected canvas_width and canvas_height from 1"),
        (json.dumps(person_json(canvas_width=10)), "expected canvas_width and canvas_height from 1"),
    ],
)
def test_bad_poses_say_what_was_expected(text, message):
    with pytest.raises(ValueError, match=message) as error:
        poses.parse_pose(text, (128, 256))
    assert "\n" not in str(error.value) and len(str(error.value)) < 250


def joints_of(pose: np.ndarray, size: tuple[int, int]) -> list[list[float]]:
    return np.array(poses.to_json(pose, size)["people"][0]["pose_keypoints_2d"]).reshape(18, 3).tolist()


def flat(joints: list[list[float]]) -> list[float]:
    return [number for joint in joints for number in joint]


def test_what_other_programs_write_is_read():
    pose, size = poses.POSES["arms_up"](), (128, 256)
    ours = joints_of(pose, size)
    hips = [[(ours[8][0] + ours[11][0]) / 2, ours[8][1], 1.0]]
    body_25 = flat(ours[:8] + hips + ours[8:] + [[0.0, 0.0, 0.0]] * 6)
    # COCO's order: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles, the left one first.
    coco = flat([ours[i] for i in (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10)])
    person = {"pose_keypoints_2d": flat(ours)}
    passer_by = {"pose_keypoints_2d": flat([[0.15 * x + 3, 0.15 * y + 3, there] for x, y, there in ours])}
    ghost = {"pose_keypoints_2d": [50, 50, 0.3, 50, 60, 0.2] + [0] * 48}
    large = {"people": [{"pose_keypoints_2d": flat([[4 * x, 4 * y, there] for x, y, there in ours])}]}
    for value in (
        {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": body_25}]},
        {"people": [{"keypoints": coco}]},
        [{"people": [person], "canvas_width": 128, "canvas_height": 256}],
        {"people": [ghost, passer_by, person]},
        {"people": [{"pose_keypoints_2d": flat([[x / 128, y / 256, there] for x, y, there in ours])}]},
        large | {"width": 512, "height": 1024},
    ):
        read = poses.parse_pose("\ufeff" + json.dumps(value), size)
        assert np.abs(read - pose)[:, :2].max() < 0.02, value


@pytest.mark.parametrize(
    ("scale", "shift", "message"), [(8, 0, "lies outside the picture of 128 x 256"), (0.02, 9, "pixels small")]
)
def test_a_skeleton_of_another_picture_is_refused_instead_of_erasing_the_person(scale, shift, message):
    joints = [[scale * x + shift, scale * y + shift, t] for x, y, t in joints_of(poses.POSES["arms_up"](), (128, 256))]
    with pytest.raises(ValueError, match=message):
        poses.parse_pose(json.dumps({"people": [{"pose_keypoints_2d": flat(joints)}]}), (128, 256))


def test_sequences_pass_through_their_poses():
    ends = [poses.POSES["standing"](), poses.POSES["arms_up"]()]
    ends[1][4] = 0  # a joint that is not there at one end
    film = poses.parse_sequence(json.dumps([poses.to_json(pose, (128, 256)) for pose in ends]), (128, 256), 5)
    assert np.abs(film[0][:4] - ends[0][:4]).max() < 1e-3 and np.abs(film[-1] - ends[1]).max() < 1e-3
    middle = (ends[0] + ends[1]) / 2
    assert np.abs(film[2][5:] - middle[5:]).max() < 1e-3
    assert all(pose[4].tolist() == [0, 0, 0] for pose in film)
    named = poses.parse_sequence('["standing", "arms_up", "standing"]', (128, 256), 9)
    assert np.abs(named[4] - poses.POSES["arms_up"]()).max() < 1e-6
    for name in poses.SEQUENCES:
        moving = poses.parse_sequence(name, (128, 256), 12)
        assert len(moving) == 12 and 0 < np.abs(np.diff(np.stack(moving)[:, :14, :2], axis=0)).max() < 0.35
    with pytest.raises(ValueError, match="expected walk, wave, turn, or a list of 2 to 64 poses"):
        poses.parse_sequence('["standing"]', (128, 256), 5)


def test_a_mirrored_pose_has_left_and_right_exchanged():
    pose = poses.POSES["waving"]()
    twin = skeleton.mirrored(pose)
    assert twin[7, 0] == pytest.approx(1 - pose[4, 0])
    assert np.allclose(skeleton.mirrored(twin), pose)


# -- pairs ------------------------------------------------------------------------------------------------------------


def people_folder(folder: Path, persons: int) -> str:
    """PATN's layout."""
    lines = ["name:keypoints_y:keypoints_x"]
    folder.mkdir(exist_ok=True)
    for i in range(persons):
        for view in range(2):
            name = f"{i:03d}_{view}.png"
            Image.new("RGB", (32, 64), (i, view, 0)).save(folder / name)
            xs, ys = [-1, *range(17)], [-1, *range(20, 37)]
            lines.append(f"{name}:{json.dumps(ys)}:{json.dumps(xs)}")
    (folder / "annotation.csv").write_text("\n".join(lines))
    return str(folder)


def test_patn_annotations_are_read_and_split_by_person(tmp_path):
    source = people_folder(tmp_path / "market", 20)
    train, apart = (read_people(source, split, 128, 64) for split in ("train", "validation"))
    assert (len(train.poses), len(apart.poses)) == (36, 4)
    assert train.poses[0, 0].tolist() == [0, 0, 0]
    assert train.poses[0, 1].tolist() == [0, 20 / 64, 1]
    shown = {(int(p[0, 0, 0]), 0) for p in train.pictures} & {(int(p[0, 0, 0]), 0) for p in apart.pictures}
    assert not shown  # nobody is in both
    (tmp_path / "market" / "annotation.csv").write_text("name:keypoints_y:keypoints_x\n000_0.png:[1, 2]:[3]\n")
    with pytest.raises(DataError, match=r"annotation.csv, line 2: expected"):
        read_people(str(tmp_path / "market") + "/", "train", 128, 64)


def test_keypoints_that_are_none_are_refused():
    with pytest.raises(DataError, match=r"expected 18 x \(x, y, v\)"):
        to_pose(np.zeros((17, 3)), (64, 128), (64, 128))


def test_pairs_are_of_one_person_and_mirrored_with_their_joints():
    plugin = Pose(Settings(**TINY))
    data = plugin.data(None, "train", 0)
    assert isinstance(data, Pairs)
    batch = data.batch(range(16))
    assert batch["source"].shape == (16, 3, 128, 64) and batch["target_pose"].shape == (16, 18, 3)
    assert not torch.equal(batch["source"], batch["target"])
    again = data.batch(range(4, 8))
    assert all(torch.equal(batch[name][4:8], again[name]) for name in batch)
    apart = plugin.data(None, "validation", 0)
    assert isinstance(apart, Pairs) and set(apart.people.numbers).isdisjoint(data.people.numbers)  # type: ignore[union-attr]


# -- what the networks see --------------------------------------------------------------------------------------------


def test_carried_to_its_own_pose_a_person_stays_and_the_ground_is_empty():
    picture, pose = draw_person(1, 0, 128)
    source = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    joints = torch.from_numpy(pose)[None]
    seen = carry(source, joints, joints)
    on = skeleton.limb_mask(joints, 128, 64, thickness=0.02, dilation=0)
    on = on & (seen.layers[:, :, 3:].sum(1) > 0.95)
    assert on.sum() > 200
    assert ((seen.worn() - source).abs().mean(1, keepdim=True)[on] < 0.2).float().mean() > 0.85
    assert ((seen.ground - source).abs().mean(1, keepdim=True)[on] > 0.2).float().mean() > 0.6


def test_carried_limbs_go_where_the_joints_go():
    picture, pose = draw_person(1, 0, 128)
    source = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    before, after = (torch.from_numpy(p)[None].float() for p in (pose, pose + np.array([0.1, 0, 0], np.float32)))
    moved = carry(source, before, after).body
    stays = carry(source, before, before).body
    shift = round(0.1 * 64)
    assert (moved[..., shift:] - stays[..., :-shift]).abs().mean() < 0.03
    nobody = torch.zeros(1, 18, 3)
    assert carry(source, before, nobody).body.max() == 0  # missing joints are allowed
    assert all(x.isfinite().all() for x in carry(source, nobody, after))


# -- training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["warped", "pg2"])
def test_three_stages_train_and_publish_the_last(tmp_path, model):
    plugin = Pose(Settings(**TINY, model=model, joints_share=0.25, coarse_share=0.25))
    out = plugin.train(out=tmp_path / "run", steps=4, batch_size=2, evaluate_count=4, trackers="", precision="fp32")
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert {"kid_x1000", "ssim", "mask_ssim_of_source", "kid_x1000_of_coarse", "joints_found"} <= set(log[-1]["scores"])
    assert isinstance(plugin.load(str(out)), PosePipeline)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "gfla"}, "model: expected warped or pg2"),
        ({"height": 100}, "height: expected 128, 256 or 512, got 100"),
        ({"widths": (16, 16)}, "widths: expected 3 multiples of 16"),
        ({"widths": (8, 16, 16)}, "widths: expected 3 multiples of 16"),
        ({"coarse_share": 0.95}, "less than 1 together"),
        ({"drawn": 3}, "drawn: expected a whole number of at least 20"),
    ],
)
def test_bad_settings_say_what_was_expected(settings, message):
    with pytest.raises(ValueError, match=message):
        Settings(**settings)


# -- use --------------------------------------------------------------------------------------------------------------


def test_transfer_gives_both_stages_and_the_skeleton(weights, person):
    made = Pose().infer("transfer", weights, image=person[0], pose="arms_up", source_pose=person[1])
    assert made.coarse.size == made.refined.size == made.skeleton.size == (64, 128)
    assert np.abs(np.asarray(made.skeleton).astype(int) - np.asarray(made.refined)).max() > 60
    as_dict = Pose().infer("transfer", weights, image=person[0], pose="arms_up", source_pose=json.loads(person[1]))
    assert np.array_equal(np.asarray(made.refined), np.asarray(as_dict.refined))
    other = Pose().infer("transfer", weights, image=person[0], pose="walking", source_pose=person[1])
    assert not np.array_equal(np.asarray(made.refined), np.asarray(other.refined))


def test_a_film_and_its_single_pictures_agree(weights, person):
    film = Pose().infer("animate", weights, image=person[0], sequence="walk", source_pose=person[1], frames=10)
    assert len(film.frames) == 10 and film.fps == 12
    third = json.dumps(poses.to_json(poses.SEQUENCES["walk"](0.3), (128, 256)))
    alone = Pose().infer("transfer", weights, image=person[0], pose=third, source_pose=person[1]).refined
    assert np.abs(np.asarray(film.frames[3]).astype(int) - np.asarray(alone)).max() <= 2


def test_without_a_pose_the_source_is_searched_for_joints(weights, person):
    pose, drawn = Pose().infer("estimate", weights, image=person[0])
    assert len(pose["people"][0]["pose_keypoints_2d"]) == 54
    assert (pose["canvas_width"], pose["canvas_height"]) == (128, 256)
    assert drawn.size == (64, 128)


def test_a_picture_without_anybody_says_how_to_give_the_pose(weights, person, monkeypatch):
    monkeypatch.setattr(PosePipeline, "find", lambda self, pictures: torch.zeros(1, 18, 3))
    with pytest.raises(ValueError, match="nobody was found in it; give source_pose"):
        Pose().infer("transfer", weights, image=person[0])


# -- one's own photo --------------------------------------------------------------------------------------------------


def scene(size: tuple[int, int], at: tuple[float, float], height: float) -> tuple[Image.Image, np.ndarray]:
    """A standing figure, drawn as a thick skeleton before an even ground, and its joints in pixels."""
    box = photos.Box(at[0] - height / 4, at[1] - height / 2, height)
    joints = box.pixels(poses.POSES["standing"]())
    shares = joints.copy()
    shares[:, :2] /= size
    picture = Image.new("RGB", size, (90, 120, 90))
    figure = skeleton.limb_mask(shares, size[1], size[0], 0.06, 1.0)[0].numpy()
    pixels = np.array(picture)
    pixels[figure] = (200, 60, 40)
    return Image.fromarray(pixels), joints


class Sees(SeeingFinder):
    """Finds what is red, and no joints: what a trained one finds is not in question here."""

    def look(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mask = (pictures[:, :1] > pictures[:, 1:2] + 0.2).float()
        return torch.zeros(len(pictures), 18, 3), mask


@pytest.fixture(scope="module")
def photo_pipeline(weights) -> PosePipeline:
    made = Pose().load(weights)
    torch.manual_seed(0)
    return PosePipeline(Sees(16, 16), made.coarse, made.refining)


@pytest.mark.parametrize(("size", "at"), [((300, 400), (150, 200)), ((640, 240), (90, 120)), ((200, 600), (120, 420))])
def test_a_person_anywhere_in_a_photo_stands_in_the_box(photo_pipeline, size, at):
    picture, joints = scene(size, at, 180)
    found = photos.find(photo_pipeline.finder, picture, joints)
    box = photos.box_of(found, size)
    assert box.height == pytest.approx(180, rel=0.15)
    assert np.abs(box.shares(joints) - poses.POSES["standing"]())[:, :2].max() < 0.12
    assert np.allclose(box.pixels(box.shares(joints)), joints, atol=1e-2)


def test_what_neither_the_person_nor_the_new_pose_covers_stays_pixel_for_pixel(photo_pipeline, tmp_path):
    picture, joints = scene((640, 360), (120, 190), 240)
    path, plugin = tmp_path / "photo.png", Pose()
    picture.save(path)
    plugin._pipelines["photos"] = photo_pipeline
    given = json.dumps(poses.of_pixels(joints, picture.size))
    made = plugin.infer("transfer", "photos", image=str(path), pose="arms_out", source_pose=given)
    assert made.refined.size == made.skeleton.size == (640, 360)
    before, after = np.asarray(picture), np.asarray(made.refined)
    assert np.array_equal(before[:, 320:], after[:, 320:])
    assert not np.array_equal(before[:, 60:200], after[:, 60:200])
    film = plugin.infer("animate", "photos", image=str(path), sequence="walk", source_pose=given, frames=3)
    still = [np.asarray(frame)[:, 320:] for frame in film.frames]
    assert all(np.array_equal(each, still[0]) for each in still), "the ground of a film moves"


def test_a_half_figure_keeps_its_legs_out(photo_pipeline):
    before = poses.POSES["standing"]()
    before[[9, 10, 12, 13]] = 0
    after = photos.wanted(poses.POSES["running"](), before)
    assert (after[[9, 10, 12, 13], 2] == 0).all() and (after[[2, 3, 4, 5, 6, 7], 2] > 0).all()


def test_a_sketched_pose_is_fitted_and_one_in_pixels_is_not():
    size = (640, 360)
    assert poses.is_sketch("walking", size) and poses.is_sketch('["walking", "running"]', size)
    drawn = poses.to_json(poses.POSES["walking"](), (128, 256))
    assert poses.is_sketch(json.dumps(drawn), size) and not poses.is_sketch(json.dumps(drawn), (256, 512))
    del drawn["canvas_width"], drawn["canvas_height"]
    assert not poses.is_sketch(json.dumps(drawn), size)


def test_nobody_in_a_photo_is_told(photo_pipeline):
    with pytest.raises(ValueError, match="nobody was found in it; give source_pose"):
        photos.find(photo_pipeline.finder, Image.new("RGB", (200, 150), (90, 120, 90)))


def test_a_finder_for_photos_learns_beside_the_generators_of_a_preset(weights, tmp_path):
    plugin = PoseFinder(finding.Settings(finds_for=weights, drawn=20))  # pyright: ignore[reportArgumentType]
    out = plugin.train(out=tmp_path / "run", steps=2, batch_size=2, evaluate_count=4, trackers="", precision="fp32")
    made, old = plugin.load(str(out)), Pose().load(weights)
    assert isinstance(made.finder, SeeingFinder)
    for name in ("coarse", "refining"):
        pairs = zip(getattr(made, name).parameters(), getattr(old, name).parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert {"pck_02", "mask_iou"} <= set(log[-1]["scores"])


def test_figures_move_with_their_joints_and_masks():
    """The mask lies over the person, and joints within it, however they were moved; a number settles its sample."""
    people = figures.read(None, "train", "", 20, 0)
    batch, again = people.batch(range(40)), people.batch(range(40))
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    inside = []
    for mask, pose in zip(batch["mask"], batch["pose"]):
        for x, y, there in pose[[1, 2, 5, 8, 11]].tolist():
            if there:
                inside.append(float(mask[0, int(y * mask.shape[1]), int(x * mask.shape[2])]))
    assert np.mean(np.array(inside) > 0.5) > 0.9
    flat = batch["pose"][batch["pose"][..., 2] > 0][:, :2]
    assert flat.min() >= 0 and flat.max() <= 1


def test_joints_count_the_pixels_of_a_photo_as_one_sees_it(tmp_path):
    """A phone stores it lying, and says in EXIF how to turn it."""
    rows: dict[str, list] = {"image": [], "person": [], "keypoints": []}
    for i in range(4):
        photo = Image.new("RGB", (150, 300), "gray")
        ImageDraw.Draw(photo).ellipse([92, 42, 108, 58], fill="red")
        exif = Image.Exif()
        exif[0x0112] = 6
        lying = photo.rotate(90, expand=True) if i % 2 else photo
        lying.save(tmp_path / f"{i}.png", exif=exif if i % 2 else Image.Exif())
        rows["image"].append(str(tmp_path / f"{i}.png"))
        rows["person"].append(str(i // 2))
        rows["keypoints"].append([[100.0, 50.0, 2.0]] * 18)
    features = Features({"image": ImageFeature(), "person": Value("string"), "keypoints": List(List(Value("float32")))})
    Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "p.parquet"))
    people = read_people(str(tmp_path / "p.parquet"), "train", 64, 32)
    assert len(people.pictures) == 2
    for picture, pose in zip(people.pictures, people.poses):
        red = ((picture[0] > 200) & (picture[1] < 100)).nonzero().float().mean(0)
        np.testing.assert_allclose(pose[0, :2] * (32, 64), red.flip(0) + 0.5, atol=0.8)
