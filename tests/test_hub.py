"""Weights: save, load, push, pull; the Hub is a real HTTP server on this machine, its client the ordinary one."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from loopback_hub import LoopbackHub, Stored
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_pipeline import OtherPipeline, TinyEvaluator, TinyPipeline, tiny
from toy import Toy, ToySettings

from gan_zoo import hub, presets
from gan_zoo import weights as weights_folder
from gan_zoo.hub import WeightsError

TENSORS = f"generator/{weights_folder.WEIGHTS}"
FACTS = hub.CardFacts(
    title="Tiny pictures",
    plugin="tiny",
    preset="dots",
    licence="open",
    licence_id="cc0-1.0",
    data="Noise, drawn for the test.",
    recipe={"batch": 2, "lr": 2e-4},
    commit="0123abc",
    steps=1200,
    images_seen=2400,
    hours=0.5,
    parameters={"generator": 1234},
    scores={"KID x1000 (EfficientNet-Lite2)": 41.25},
    protocol="2,000 pictures against 2,000; the floor of real against real is 0.0.",
    pictures={"samples.png": "Uncurated: seeds 0 to 3"},
    failures="It only draws noise.",
)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return save(tmp_path / "dots")


def save(folder: Path, **options) -> Path:
    images = {"samples.png": Image.new("RGB", (8, 8), "red")}
    return hub.save(tiny(**options), folder, plugin="tiny", preset="dots", card=hub.model_card(FACTS), images=images)


def error(*arguments, **options) -> str:
    """The one line that `load` fails with."""
    with pytest.raises(WeightsError) as caught:
        hub.load(*arguments, **options)
    return one_line(str(caught.value))


def one_line(text: str) -> str:
    assert 0 < len(text) < 300
    assert "\n" not in text
    return text


def resign(folder: Path) -> None:
    """Makes the manifest true of changed files, so that what is checked after the hashes is reached."""
    manifest = json.loads((folder / hub.MANIFEST).read_text())
    for name in manifest["files"]:
        data = (folder / name).read_bytes()
        manifest["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / hub.MANIFEST).write_text(json.dumps(manifest))


def change_tensors(folder: Path, change) -> None:
    tensors = load_file(folder / TENSORS)
    change(tensors)
    save_file(tensors, folder / TENSORS, metadata={"format": "pt"})
    resign(folder)


def change_json(path: Path, **values) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


# ---------------------------------------------------------------------------------------------------------------------
# Save and load


def test_load_gives_what_was_saved_to_the_bit_of_half_precision(weights):
    before, after = tiny(), hub.load(weights, TinyPipeline, plugin="tiny")
    for name in ("generator", "judge"):
        saved, loaded = getattr(before, name).state_dict(), getattr(after, name).state_dict()
        assert saved.keys() == loaded.keys()
        for key, tensor in saved.items():
            expected = tensor.half().float() if tensor.is_floating_point() else tensor
            assert loaded[key].dtype == tensor.dtype, key
            assert torch.equal(loaded[key], expected), key
        assert not getattr(after, name).training
    assert after.config["scale"] == 0.5
    assert torch.allclose(before(seed=3), after(seed=3), atol=2e-2)

    half = hub.load(weights, TinyPipeline, dtype=torch.float16)
    assert half.generator.dtype == torch.float16
    assert half.generator.norm.num_batches_tracked.dtype == torch.int64


def test_loading_says_nothing(weights):
    """diffusers warns of networks that want float32 at any change of dtype, also where there are none."""
    said = io.StringIO()
    logging.getLogger("diffusers").addHandler(handler := logging.StreamHandler(said))
    for dtype in (None, torch.float32, torch.float16):
        hub.load(weights, TinyPipeline, dtype=dtype)
    logging.getLogger("diffusers").removeHandler(handler)
    assert said.getvalue() == ""


def test_the_folder_holds_what_the_layout_says_and_nothing_else(weights, tmp_path):
    found = sorted(str(path.relative_to(weights)) for path in weights.rglob("*") if path.is_file())
    network = ["config.json", weights_folder.WEIGHTS, "networks.py"]
    expected = ["README.md", hub.MANIFEST, "model_index.json", "pipeline.py", "samples.png"]
    assert found == sorted(expected + [f"{name}/{file}" for name in ("generator", "judge") for file in network])
    assert all(t.dtype in (torch.float16, torch.int64) for t in load_file(weights / TENSORS).values())
    assert (weights / "pipeline.py").read_text() == "from tiny_pipeline import TinyPipeline\n"
    assert str(tmp_path) not in "".join(path.read_text() for path in weights.rglob("*.json"))
    assert [path.name for path in tmp_path.iterdir()] == ["dots"]
    again = save(tmp_path / "again")
    for name in found:
        assert (again / name).read_bytes() == (weights / name).read_bytes(), name


def test_a_loaded_pipeline_saves_the_same_weights_and_leaves_the_global_generator_alone(weights, tmp_path):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    pipeline = hub.load(weights, TinyPipeline)
    assert torch.equal(torch.rand(3), expected)
    again = hub.save(pipeline, tmp_path / "again", plugin="tiny", preset="dots", card="")
    for name in hub.read_manifest(weights).files:
        assert (again / name).read_bytes() == (weights / name).read_bytes(), name


def test_an_optional_network_may_be_left_out(tmp_path):
    assert hub.load(save(tmp_path / "alone", judge=False), TinyPipeline).judge is None


def test_diffusers_loads_the_folder_with_trust_remote_code(weights, tmp_path, monkeypatch):
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline
    from diffusers.utils import dynamic_modules_utils

    monkeypatch.setattr(dynamic_modules_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", False)  # the trap that `save` steps around needs a .pyc
    theirs: Any = DiffusionPipeline.from_pretrained(weights, trust_remote_code=True)
    ours = hub.load(weights, TinyPipeline)
    assert (type(theirs), type(theirs.judge)) == (TinyPipeline, TinyEvaluator)
    assert torch.equal(theirs(seed=5), ours(seed=5))
    for name in ("generator", "judge"):
        for key, tensor in getattr(ours, name).state_dict().items():
            assert torch.equal(getattr(theirs, name).state_dict()[key], tensor), key


def test_save_refuses_values_that_half_precision_cannot_hold(weights):
    pipeline = tiny()
    with torch.no_grad():
        pipeline.generator.paint.weight[0, 0, 0, 0] = 7e4
    with pytest.raises(WeightsError, match=r"'paint.weight' does not fit half precision: its largest value is 7e\+04"):
        hub.save(pipeline, weights, plugin="tiny", preset="dots", card="")
    hub.load(weights, TinyPipeline)


def test_save_refuses_names_that_lead_elsewhere(tmp_path):
    with pytest.raises(WeightsError, match=r"a preset is named by .* not '\.\./dots'"):
        hub.save(tiny(), tmp_path / "x", plugin="tiny", preset="../dots", card="")
    with pytest.raises(WeightsError, match=r"a picture is named like .* not '\.\./a\.png'"):
        hub.save(
            tiny(), tmp_path / "x", plugin="tiny", preset="dots", card="", images={"../a.png": Image.new("L", (1, 1))}
        )
    assert not list(tmp_path.iterdir())


def save_for_ever(folder: Path) -> None:
    for seed in range(10**6):
        save(folder, seed=seed % 2)


def test_a_kill_during_save_leaves_a_whole_folder(weights):
    either = [tiny(seed).generator.paint.weight.half().float() for seed in (0, 1)]
    for kill in range(6):
        process = multiprocessing.get_context("fork").Process(target=save_for_ever, args=(weights,))
        process.start()
        time.sleep(0.15 + 0.017 * kill)
        process.kill()
        process.join()
        pipeline = hub.load(weights, TinyPipeline)  # checks every file against the manifest: no mixture of two saves
        assert any(torch.equal(pipeline.generator.paint.weight, weight) for weight in either)


def test_a_folder_set_aside_by_a_killed_save_comes_back(weights):
    weights.rename(weights.with_name(".dots.old"))  # as after the first of the two renames
    hub.load(weights, TinyPipeline)
    assert hub.resolve("tiny", "dots", weights_dir=weights) == weights


# ---------------------------------------------------------------------------------------------------------------------
# What load refuses


def test_missing_folder_and_files(weights, tmp_path):
    assert "no weights folder at" in error(tmp_path / "nothing", TinyPipeline)
    (weights / "judge" / weights_folder.WEIGHTS).unlink()
    assert f"judge/{weights_folder.WEIGHTS} is missing" in error(weights, TinyPipeline)
    (weights / hub.MANIFEST).unlink()
    assert "this is no weights folder" in error(weights, TinyPipeline)


def test_truncated_file(weights):
    data = (weights / TENSORS).read_bytes()
    (weights / TENSORS).write_bytes(data[:-10])
    assert f"{TENSORS} is truncated or changed: it has {len(data) - 10} bytes" in error(weights, TinyPipeline)
    (weights / TENSORS).write_bytes(data[:20])
    resign(weights)
    assert "is no safetensors file" in error(weights, TinyPipeline)


def test_one_flipped_bit(weights):
    data = bytearray((weights / TENSORS).read_bytes())
    data[-1] ^= 1
    (weights / TENSORS).write_bytes(data)
    assert f"{TENSORS} is damaged or changed" in error(weights, TinyPipeline)


def test_changed_config(weights):
    change_json(weights / "generator" / "config.json", width=7)
    assert f"{weights / 'generator' / 'config.json'} is" in error(weights, TinyPipeline)
    resign(weights)
    assert "the tensor 'grow.bias' has shape (6,), not (7,)" in error(weights, TinyPipeline)
    change_json(weights / "generator" / "config.json", depth=3)
    resign(weights)
    assert "generator/config.json does not fit TinyGenerator" in error(weights, TinyPipeline)


def test_weights_of_another_plugin_or_pipeline(weights):
    assert "holds weights of 'tiny' (dots), not of 'pose'" in error(weights, TinyPipeline, plugin="pose")
    assert "its pipeline is not a OtherPipeline" in error(weights, OtherPipeline)
    change_json(weights / "model_index.json", _class_name=["pipeline", "OtherPipeline"])
    resign(weights)
    assert "the network 'generator' is a TinyGenerator, not a TinyEvaluator" in error(weights, OtherPipeline)


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".ckpt"])
def test_pickles_are_refused(weights, suffix):
    path = weights / "generator" / f"diffusion_pytorch_model{suffix}"
    torch.save({}, path)
    hub.load(weights, TinyPipeline)  # beside the safetensors file it is not looked at
    (weights / TENSORS).unlink()
    assert f"{path.name} is a pickle, which can run code" in error(weights, TinyPipeline)
    (weights / hub.MANIFEST).unlink()
    assert f"{path.name} is a pickle, which can run code" in error(weights, TinyPipeline)


def test_newer_or_damaged_manifest(weights):
    manifest = weights / hub.MANIFEST
    whole = manifest.read_text()
    change_json(manifest, format=2)
    assert "has weights format 2, this gan_zoo reads up to 1: update gan_zoo" in error(weights, TinyPipeline)
    for bad in ("{", "[]", '{"format": 1}', whole.replace("pipeline.py", "../../etc/passwd")):
        manifest.write_text(bad)
        assert "is damaged, or names files that no weights folder holds" in error(weights, TinyPipeline)


def test_the_wrong_tensor_is_named(weights):
    whole = load_file(weights / TENSORS)

    change_tensors(weights, lambda t: t.pop("norm.bias"))
    assert "the tensor 'norm.bias' is missing" in error(weights, TinyPipeline)
    change_tensors(weights, lambda t: t.update(whole, extra=torch.zeros(1)))
    assert "unexpected tensor 'extra', TinyGenerator has none" in error(weights, TinyPipeline)
    change_tensors(weights, lambda t: (t.pop("extra"), t.update({"paint.weight": torch.zeros(3, 6, 1, 1)})))
    assert "the tensor 'paint.weight' has shape (3, 6, 1, 1), not (3, 6, 3, 3)" in error(weights, TinyPipeline)
    change_tensors(weights, lambda t: t.update(whole, **{"paint.bias": torch.tensor([0, float("nan"), 0])}))
    assert "the tensor 'paint.bias' holds values that are not finite" in error(weights, TinyPipeline)
    change_tensors(weights, lambda t: t.update(whole))
    hub.load(weights, TinyPipeline)


# ---------------------------------------------------------------------------------------------------------------------
# The card


def test_the_card_is_valid_and_tells_the_facts(weights):
    from huggingface_hub import ModelCard

    card = ModelCard.load(weights / "README.md")
    front = card.data.to_dict()
    assert (front["license"], front["library_name"]) == ("cc0-1.0", "diffusers")
    assert front["pipeline_tag"] == "unconditional-image-generation"
    assert "tiny" in front["tags"]
    assert front["model-index"][0]["results"][0]["metrics"][0]["value"] == 41.25
    for fact in ("1,200", "2,400", "0123abc", '"lr": 0.0002', "![Uncurated", "(samples.png)", "41.25", "floor"):
        assert fact in card.text, fact


def test_scores_need_a_protocol():
    facts = hub.CardFacts("T", "tiny", "dots", "open", "cc0-1.0", "Noise.", scores={"KID": 3.0})
    with pytest.raises(WeightsError, match="scores without a protocol"):
        hub.model_card(facts)


# ---------------------------------------------------------------------------------------------------------------------
# The Hub, over HTTP. Its client reads the endpoint when imported, so it runs in processes of its own; those that only
# fetch and send import no torch and take half a second.


@pytest.fixture
def server():
    with LoopbackHub() as server:
        yield server


PRELUDE = """
import json, time
from gan_zoo import hub, presets
from gan_zoo import weights as weights_folder

def attempt(function, *arguments, **options):
    start = time.monotonic()
    try:
        answer = {"value": str(function(*arguments, **options))}
    except hub.WeightsError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer | {"seconds": time.monotonic() - start}), flush=True)
"""


def client(server: LoopbackHub, home: Path, *calls: str, token: str = "", **variables: str) -> list[dict]:
    """Runs `attempt(...)` calls in a new process that knows only the loopback Hub; what each gave or failed with."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "GAN_ZOO_"))}
    paths = [str(Path(hub.__file__).parents[1]), str(Path(__file__).parent)]
    environment = clean | {"PYTHONPATH": os.pathsep.join(paths)} | server.environment(home, token) | variables
    code = PRELUDE + "\n".join(f"attempt({call})" for call in calls)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(calls), done.stderr
    for answer in answers:
        one_line(answer.get("error", "fine"))
    return answers


def push(server: LoopbackHub, home: Path, weights: Path, repo_id: str = "ana/dots", options: str = "") -> str:
    """Pushes with the owner's token; the commit."""
    (answer,) = client(server, home, f"hub.push, {str(weights)!r}, {repo_id!r} {options}", token="hf_owner")
    assert answer.get("value", "").startswith(f"{server.url}/{repo_id}/commit/"), answer
    return answer["value"].rsplit("/")[-1]


def test_push_then_pull_gives_the_same_folder(server, weights, tmp_path):
    (weights / "notes.pt").write_bytes(b"left by somebody")
    first = push(server, tmp_path / "owner", weights)
    save(weights, seed=1)
    second = push(server, tmp_path / "owner", weights, options=", revision='try/2'")
    branches = server.repos["ana/dots"].branches
    assert (branches["main"], branches["try/2"]) == (first, second)
    assert "notes.pt" not in server.repos["ana/dots"].commits[first]
    assert server.repos["ana/dots"].commits[first][TENSORS].lfs  # it went through LFS, not base64

    pulls = [
        "hub.pull, 'ana/dots'",
        "hub.pull, 'ana/dots', revision='try/2'",
        f"hub.pull, 'ana/dots', revision='{first}'",
    ]
    main, branch, pinned = (Path(answer["value"]) for answer in client(server, tmp_path / "reader", *pulls))
    assert main == pinned != branch
    for name in [*hub.verify(weights).files, "README.md", "samples.png"]:
        assert (branch / name).read_bytes() == (weights / name).read_bytes(), name
    assert torch.equal(
        hub.load(main, TinyPipeline).generator.paint.weight, tiny(0).generator.paint.weight.half().float()
    )
    assert not [line for line in server.requests if line.endswith(("500", "no such route"))]

    # What is cached needs no Hub: pinned it is not even asked, a branch is answered from the cache.
    asked = len(server.requests)
    offline = [
        f"hub.resolve, 'tiny', 'dots', repo_id='ana/dots', revision='{first}'",
        pulls[1],
        "hub.pull, 'ana/other'",
    ]
    answers = client(server, tmp_path / "reader", *offline, HF_HUB_OFFLINE="1")
    assert [answer.get("value") for answer in answers] == [str(main), str(branch), None]
    assert answers[2]["error"] == "ana/other is not on this machine, and HF_HUB_OFFLINE forbids to fetch it"
    client(server, tmp_path / "reader", offline[0])
    assert len(server.requests) == asked


def test_diffusers_loads_a_pushed_repository(server, weights, tmp_path):
    push(server, tmp_path / "owner", weights)
    load = "__import__('diffusers').DiffusionPipeline.from_pretrained('ana/dots', trust_remote_code=True)"
    (answer,) = client(server, tmp_path / "reader", f"lambda: {load}(seed=5).flatten().tolist()")
    assert json.loads(answer["value"]) == hub.load(weights, TinyPipeline)(seed=5).flatten().tolist()


def test_what_the_hub_does_not_have(server, weights, tmp_path):
    commit = push(server, tmp_path / "owner", weights)
    push(server, tmp_path / "owner", weights, "ana/secret", ", private=True")
    server.repos["ana/dots"].commit("empty", {})
    files = dict(server.repos["ana/dots"].commits[commit])
    server.repos["ana/dots"].commit("no-judge", {k: v for k, v in files.items() if not k.startswith("judge/")})
    server.repos["ana/dots"].commit("no-card", {k: v for k, v in files.items() if k != "README.md"})
    answers = client(
        server,
        tmp_path / "reader",
        "hub.pull, 'ana/nothing'",
        "hub.pull, 'ana/secret'",
        "hub.pull, 'ana/dots', revision='v9'",
        "hub.pull, 'ana/dots', revision='empty'",
        "hub.pull, 'ana/dots', revision='no-judge'",
        "hub.pull, 'ana/dots', token='hf_wrong'",
        "hub.pull, 'not a name'",
        "hub.pull, 'ana/dots', revision='no-card'",
    )
    assert "there is no repository ana/nothing on" in answers[0]["error"]
    assert "there is no repository ana/secret on" in answers[1]["error"]
    assert f"ana/dots on {server.url} has no revision 'v9'" == answers[2]["error"]
    assert f"ana/dots at empty on {server.url} holds no weights" in answers[3]["error"]
    assert "judge/" in answers[4]["error"]
    assert "does not accept the token" in answers[5]["error"]
    assert "not a name" in answers[6]["error"]
    assert answers[7]["value"].endswith(server.repos["ana/dots"].branches["no-card"])


def test_who_may_push(server, weights, tmp_path):
    push(server, tmp_path / "owner", weights)
    folder = repr(str(weights))
    (answer,) = client(server, tmp_path, f"hub.push, {folder}, 'ana/dots'")
    assert answer["error"].startswith("pushing needs a Hugging Face token")
    answers = client(
        server, tmp_path, f"hub.push, {folder}, 'ana/dots'", f"hub.push, {folder}, 'ana/new'", token="hf_reader"
    )
    assert "no permission to write to ana/dots" in answers[0]["error"]
    assert "no permission to write to ana/new" in answers[1]["error"]
    (weights / TENSORS).write_bytes(b"")
    answers = client(
        server,
        tmp_path,
        f"hub.push, {folder}, 'ana/dots'",
        f"hub.push, {str(save(tmp_path / 'b'))!r}, 'ana/dots', private=True",
        f"hub.push, {str(tmp_path / 'b')!r}, 'ana/dots', token='hf_wrong'",
        token="hf_owner",
    )
    assert "is truncated or changed" in answers[0]["error"]
    assert "exists and is public" in answers[1]["error"]
    assert "does not accept the token" in answers[2]["error"]


def test_unreachable_and_slow_hubs(server, weights, tmp_path):
    commit = push(server, tmp_path / "owner", weights)
    client(server, tmp_path / "cached", "hub.pull, 'ana/dots'")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
        calls = ["hub.pull, 'ana/dots'", f"hub.push, {str(weights)!r}, 'ana/dots'"]
        answers = client(server, tmp_path / "new", *calls, token="hf_owner", HF_ENDPOINT=nowhere)
        for answer in answers:
            assert f"{nowhere} cannot be reached" in answer["error"]
        (answer,) = client(server, tmp_path / "cached", calls[0], HF_ENDPOINT=nowhere)
        assert answer["value"].endswith(commit)

    server.delay = 600  # what is not bounded runs into the limit of `client`
    calls = ["hub.pull, 'ana/dots', timeout=0.5", f"hub.push, {str(weights)!r}, 'ana/dots', timeout=0.5"]
    for answer in client(server, tmp_path / "new", *calls, token="hf_owner"):
        assert f"{server.url} did not answer within 0.5 s" in answer["error"]
    (answer,) = client(server, tmp_path / "cached", calls[0])
    assert answer["value"].endswith(commit)


def test_spoiled_downloads(server, weights, tmp_path):
    push(server, tmp_path / "owner", weights)
    server.damage = "short"
    (answer,) = client(server, tmp_path / "reader", "hub.pull, 'ana/dots'")
    assert "Consistency check failed" in answer["error"]
    server.damage = "flip"
    (answer,) = client(server, tmp_path / "reader", "hub.pull, 'ana/dots'")
    assert "is damaged or changed" in answer["error"]
    server.damage = "trickle"
    (answer,) = client(server, tmp_path / "slow", "hub.pull, 'ana/dots', deadline=1")
    assert answer["error"] == "ana/dots: not downloaded within 1 s"
    server.damage = ""  # what was spoiled in the cache is fetched anew
    (answer,) = client(server, tmp_path / "reader", "hub.pull, 'ana/dots'")
    hub.load(answer["value"], TinyPipeline)


# ---------------------------------------------------------------------------------------------------------------------
# Where weights are


def test_resolve_looks_in_the_order_it_says(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_ZOO_WEIGHTS", str(tmp_path / "root"))
    with pytest.raises(WeightsError, match=r"^no weights of tiny/dots in .*root.*train tiny.*pull.*GAN_ZOO_WEIGHTS.*$"):
        hub.resolve("tiny", "dots")
    shipped = save(tmp_path / "root" / "tiny" / "dots")
    assert hub.resolve("tiny", "dots") == shipped
    assert hub.resolve("tiny", "dots", repo_id="ana/dots", revision="main") == shipped
    assert hub.resolve("tiny", "dots", weights_dir=weights) == weights
    assert hub.resolve("tiny", "dots", weights_dir=tmp_path / "root") == shipped
    with pytest.raises(WeightsError, match="no weights of tiny/dots in"):
        hub.resolve("tiny", "dots", weights_dir=tmp_path / "elsewhere")
    with pytest.raises(WeightsError, match="a preset is named by"):
        hub.resolve("tiny", "../tiny/dots")


def test_the_root_is_beside_the_package_or_in_the_user_data(monkeypatch, tmp_path):
    monkeypatch.delenv("GAN_ZOO_WEIGHTS", raising=False)
    assert hub.weights_root() == Path(hub.__file__).resolve().parents[1] / "weights"
    monkeypatch.setattr(hub, "__file__", str(tmp_path / "site-packages" / "gan_zoo" / "hub.py"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert hub.weights_root() == tmp_path / "data" / "gan_zoo" / "weights"


def test_a_preset_knows_the_settings_it_was_trained_with(tmp_path: Path) -> None:
    toy = Toy(ToySettings(loss="hinge", width=8))
    facts = {"loss": "hinge", "width": 8, "of_yesterday": 1}
    pipeline = toy.pipeline(toy.networks())
    folder = hub.save(pipeline, tmp_path / "weights", plugin="toy", preset="squares", card="", settings=facts)
    trained = presets.as_trained(Toy(), str(folder))
    assert trained.settings == ToySettings(loss="hinge", width=8)
    hub.save(pipeline, folder, plugin="toy", preset="squares", card="", settings={"width": "wide", "loss": "x"})
    assert presets.as_trained(Toy(), str(folder)).settings.loss == "x"  # as told: the plugin says what it refuses


# -- what strangers put there ------------------------------------------------------------------------------------------


def rewritten(folder: Path, name: str, change) -> Path:
    """The folder with a JSON file changed, and the manifest's hash of it too: who can change one can change both."""
    path, manifest = folder / name, json.loads((folder / "gan_zoo.json").read_text())
    data = change if isinstance(change, bytes) else json.dumps(json.loads(path.read_text()) | change).encode()
    path.write_bytes(data)
    if name != "gan_zoo.json":
        manifest["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        (folder / "gan_zoo.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("generator/config.json", {"width": 10**9}, "far larger than the tensors that are there"),
        ("generator/config.json", {"latent": 10**5, "width": 10**5}, "far larger than the tensors that are there"),
        ("generator/config.json", {"width": []}, "does not fit TinyGenerator"),
        ("generator/config.json", {"width": -1}, "does not fit TinyGenerator"),
        ("generator/config.json", {"self": 1}, "does not fit TinyGenerator"),
        ("generator/config.json", b"[" * 100_000, "is not a JSON object"),
        ("model_index.json", {"scale": {"a": []}, "self": 1}, "multiple values for argument 'self'"),
        ("gan_zoo.json", {"format": -1}, "expected a format from 1 to 1, got -1"),
        ("gan_zoo.json", {"format": 0}, "expected a format from 1 to 1, got 0"),
        ("gan_zoo.json", {"format": float("nan")}, "expected a format from 1 to 1, got nan"),
        ("gan_zoo.json", {"format": True}, "expected a format from 1 to 1, got True"),
        ("gan_zoo.json", {"format": "1"}, "expected a format from 1 to 1, got 1"),
        ("gan_zoo.json", {"plugin": ["tiny"]}, "is damaged"),
        ("gan_zoo.json", {"settings": []}, "is damaged"),
        ("gan_zoo.json", b"[" * 100_000, "is damaged"),
    ],
    ids=str,
)
def test_hostile_folders_are_refused_in_one_line(weights, name, change, message):
    with pytest.raises(WeightsError) as refused:
        hub.load(rewritten(weights, name, change), TinyPipeline)
    assert message in one_line(str(refused.value))


def test_tensors_of_odd_types_are_refused(weights):
    tensors = load_file(weights / TENSORS)
    tensors["paint.bias"] = tensors["paint.bias"].to(torch.float8_e4m3fn)
    save_file(tensors, weights / TENSORS)
    with pytest.raises(WeightsError, match=r"'paint.bias' is torch.float8_e4m3fn, expected float16"):
        hub.load(rewritten(weights, TENSORS, (weights / TENSORS).read_bytes()), TinyPipeline)


@pytest.mark.parametrize("name", ["README.md", "samples.png", "generator/config.json", "gan_zoo.json"])
def test_links_out_of_the_folder_are_not_followed(weights, tmp_path, name):
    secret = tmp_path / "secret"
    secret.write_bytes((weights / name).read_bytes())
    (weights / name).unlink()
    (weights / name).symlink_to(secret)
    with pytest.raises(WeightsError, match="is a link out of the weights folder"):
        hub.verify(weights)


def test_an_etag_cannot_lead_out_of_the_cache(server, weights, tmp_path):
    push(server, tmp_path / "owner", weights)
    server.etag = "../../../../../escaped"
    (answer,) = client(server, tmp_path / "reader", "hub.pull, 'ana/dots'")
    assert "the Hub answers with a" in answer["error"]
    assert not list(tmp_path.rglob("escaped*"))


def test_more_than_was_announced_is_not_fetched(server, weights, tmp_path):
    push(server, tmp_path / "owner", weights)
    server.swollen = 10**9
    (answer,) = client(server, tmp_path / "reader", "hub.pull, 'ana/dots'")
    assert "where at most" in answer["error"]
    server.swollen = 0
    manifest = json.loads((weights / "gan_zoo.json").read_text())
    manifest["files"][TENSORS]["size"] = 10**12
    (weights / "gan_zoo.json").write_text(json.dumps(manifest))
    files = dict(server.repos["ana/dots"].commits[server.repos["ana/dots"].branches["main"]])
    files["gan_zoo.json"] = Stored((weights / "gan_zoo.json").read_bytes(), lfs=False)
    server.repos["ana/dots"].commit("main", files)
    (answer,) = client(server, tmp_path / "reader", "hub.pull, 'ana/dots'")
    assert "expected at most 4,000,000,000" in answer["error"]
