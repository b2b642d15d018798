"""`python -m train`: flags, recipes, resuming, errors."""

from __future__ import annotations

import dataclasses
import json

import pytest

from gan_zoo import registry
from gan_zoo.cli.train import RECIPES, main, read_recipe
from gan_zoo.config import TrainConfig

SMALL = ["--resolution", "16", "--channels", "8,8,8", "--latent-dim", "8", "--discriminator", "residual"]
SHORT = ["--steps", "2", "--batch-size", "4", "--evaluate-count", "0", "--drawn", "20", "--trackers", ""]


def test_flags_are_stronger_than_the_run_which_is_stronger_than_the_recipe(tmp_path):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        'plugin = "anime"\n[train]\nsteps = 50\nbatch_size = 4\nevaluate_count = 0\ntrackers = ""\nseed = 3\n'
        '[settings]\nresolution = 16\nchannels = [8, 8, 8]\nlatent_dim = 8\ndiscriminator = "residual"\ndrawn = 20\n'
    )
    out = tmp_path / "run"
    assert main(["anime", "--recipe", str(recipe), "--out", str(out), "--steps", "2", "--loss", "logistic"]) == 0
    run = json.loads((out / "run.json").read_text())
    assert (run["config"]["steps"], run["config"]["seed"], run["settings"]["loss"]) == (2, 3, "logistic")
    assert run["settings"]["channels"] == [8, 8, 8]
    assert main(["anime", "--out", str(out), "--resume", "--steps", "4"]) == 0
    run = json.loads((out / "run.json").read_text())
    assert (run["config"]["steps"], run["config"]["seed"], run["settings"]["loss"]) == (4, 3, "logistic")
    assert (out / "weights" / "generator" / "diffusion_pytorch_model.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "'nothing'"),
        (["anime", "--recipe", "nothing"], "no recipe 'nothing'; there are: "),
        (["anime", "--out", "nowhere", "--resume"], "nothing to resume: nowhere holds no run"),
        (["anime", "--discriminator", "patch"], "expected projected or residual, got 'patch'"),
        (["anime", "--no-such-flag", "1"], "unrecognized arguments: --no-such-flag 1"),
        (["anime", "--steps", "many"], "argument --steps: invalid int value: 'many'"),
        (["anime", "--steps", "0"], "steps: expected a whole number of at least 1, got 0"),
        (["anime", "--data", "missing/folder/x"], "missing/folder/x"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_a_second_run_in_the_same_folder_is_refused(tmp_path, capsys):
    out = str(tmp_path / "run")
    assert main(["anime", *SMALL, *SHORT, "--out", out]) == 0
    assert main(["anime", *SMALL, *SHORT, "--out", out]) == 2
    assert "already holds a run" in capsys.readouterr().err


def test_a_misspelt_recipe_is_refused(tmp_path, capsys):
    (tmp_path / "wrong.toml").write_text("[trian]\nsteps = 3\n")
    assert main(["anime", "--recipe", str(tmp_path / "wrong.toml")]) == 2
    assert "'trian' is none of plugin, preset, train, settings" in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_fits_its_plugin(path):
    recipe = read_recipe(str(path))
    slug, _, training = recipe["plugin"].partition(".")
    plugin = type(registry.get(slug))
    plugin = (plugin.trainings[training] if training else plugin)()
    TrainConfig(**recipe.get("train", {}))
    plugin.Settings(**{k: tuple(v) if isinstance(v, list) else v for k, v in recipe.get("settings", {}).items()})
    assert "preset" not in recipe or not plugin.presets or plugin.preset(recipe["preset"]).name == path.stem


def test_a_list_of_numbers_is_read_as_numbers(capsys):
    assert main(["cyclegan", "--classes", "339,340,341"]) == 2
    assert "expected two or none, got () and (339, 340, 341)" in capsys.readouterr().err
    assert main(["cyclegan", "--classes", "horse,zebra"]) == 2
    assert "--classes: expected ints with commas between, got 'horse,zebra'" in capsys.readouterr().err


OLD = 'plugin = "anime"\n[settings]\nenlarges = "anime-faces-64"\naugment = ""\n'


@pytest.mark.parametrize(
    "arguments",
    [
        ["anime.enlarger"],
        ["anime", "--recipe", "anime-enlarger"],
        ["anime.enlarger", "--recipe", "anime-enlarger"],
        ["anime", "--enlarges", "anime-faces-64"],
        ["anime", "--recipe", "OLD"],
    ],
    ids=" ".join,
)
def test_a_second_training_is_found_by_its_name_recipe_flag_or_setting(tmp_path, capsys, arguments):
    """A class of its own now; recipes, runs and flags from before it was one go on working."""
    (tmp_path / "old.toml").write_text(OLD)
    arguments = [str(tmp_path / "old.toml") if a == "OLD" else a for a in arguments]
    small = ["--steps", "1", "--batch-size", "2", "--evaluate-count", "0", "--feature-size", "32", "--trackers", ""]
    assert main([*arguments, *small, "--out", str(tmp_path / "run")]) == 0, capsys.readouterr().err
    assert (tmp_path / "run" / "weights" / "enlarger").is_dir()
    assert main([arguments[0], "--resume", "--steps", "2", "--out", str(tmp_path / "run")]) == 0


def test_a_training_that_there_is_not_is_refused(capsys):
    assert main(["anime.embroidery"]) == 2
    assert "anime has no training 'embroidery'; beside its own there are: enlarger" in capsys.readouterr().err
    assert main(["anime.enlarger", "--recipe", "characters"]) == 2
    assert "for 'anime.characters', not for 'anime.enlarger'" in capsys.readouterr().err
    assert main(["pose", "--recipe", "anime-enlarger"]) == 2
    assert "for 'anime.enlarger', not for 'pose'" in capsys.readouterr().err


@pytest.mark.parametrize("slug", registry.discover().plugins)
def test_no_setting_has_the_name_of_a_flag_of_the_trainer(slug):
    settings = {field.name for field in dataclasses.fields(registry.get(slug).Settings)}
    taken = {field.name for field in dataclasses.fields(TrainConfig)} | {"plugin", "data", "recipe", "out", "resume"}
    assert not settings & taken


def test_a_push_without_a_token_is_refused_before_training(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert main(["anime", "--steps", "1", "--push-to-hub", "me/gan", "--out", str(tmp_path / "run")]) == 2
    assert "needs a Hugging Face token" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
