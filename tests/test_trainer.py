"""The training loop: freezing, resuming, kills, accumulation, two processes, stopping."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from toy import Squares, Toy, ToySettings

from gan_zoo import checkpoints
from gan_zoo.config import TrainConfig, learning_rate
from gan_zoo.duel import Duel, Ema
from gan_zoo.plugin import Evaluation, Networks, Stage, Step
from gan_zoo.trainer import Trainer

HERE = Path(__file__).parent
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}", "OMP_NUM_THREADS": "1"}
SHORT: dict[str, Any] = {
    "steps": 12,
    "batch_size": 4,
    "precision": "fp32",
    "sample_every": 0,
    "checkpoint_every": 5,
    "log_every": 4,
    "evaluate_count": 8,
    "trackers": "",
}


def config(**options: Any) -> TrainConfig:
    return TrainConfig(**(SHORT | options))


def run_toy(out: Path, settings: ToySettings | None = None, **options: Any) -> Path:
    return Toy(settings).train(out=out, **(SHORT | options))


def final(out: Path) -> dict[str, Any]:
    checkpoint = checkpoints.latest(out)
    assert checkpoint is not None
    return torch.load(checkpoint / "common.pt", weights_only=True)


def assert_same(a: Any, b: Any, tolerance: float = 0.0) -> None:
    """Equal nested values; tensors bit for bit unless a tolerance is given."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key], tolerance)
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y, tolerance)
    elif isinstance(a, torch.Tensor):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
    else:
        assert a == b


def same_training(a: Path, b: Path, tolerance: float = 0.0) -> None:
    left, right = final(a), final(b)
    for part in ("networks", "ema", "optimizers"):
        assert_same(left[part], right[part], tolerance)


# -- the two halves ---------------------------------------------------------------------------------------------------


def duel() -> tuple[Duel, Step, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    plugin = Toy()
    nets = plugin.networks()
    adam = {
        name: torch.optim.Adam([p for net in group.values() for p in net.parameters() if p.requires_grad], lr=1e-2)
        for name, group in (("g", nets.generators), ("d", nets.discriminators))
    }
    step = Step(0, "gan", 0.0, slice(0, 8), 8, torch.Generator().manual_seed(0), torch.device("cpu"))
    return Duel(plugin, nets, adam["g"], adam["d"]), step, Squares().batch(range(8))


def bits(networks: dict[str, nn.Module]) -> dict[str, torch.Tensor]:
    return {f"{n}.{k}": v.clone() for n, net in networks.items() for k, v in net.state_dict().items()}


def changed(before: dict[str, torch.Tensor], networks: dict[str, nn.Module]) -> set[str]:
    return {name for name, value in bits(networks).items() if not torch.equal(value, before[name])}


def test_d_half_leaves_the_generator_bit_identical_and_g_half_the_discriminator():
    game, step, batch = duel()
    fakes = game.generate(batch, step)

    g, d = bits(game.nets.generators), bits(game.nets.discriminators)
    game.d_step(batch, fakes, step)
    assert not changed(g, game.nets.generators)
    assert any(name.startswith("discriminator") for name in changed(d, game.nets.discriminators))
    assert all(p.grad is None for p in game.nets["generator"].parameters())

    g, d = bits(game.nets.generators), bits(game.nets.discriminators)
    game.g_step(batch, fakes, step)
    assert changed(g, game.nets.generators)
    assert not changed(d, game.nets.discriminators)
    assert all(p.grad is None for p in game.nets["discriminator"].parameters())


def test_freezing_gives_each_parameter_its_own_requires_grad_back():
    game, step, batch = duel()
    before = bits(game.nets.discriminators)
    for _ in range(2):
        fakes = game.generate(batch, step)
        game.d_step(batch, fakes, step)
        game.g_step(batch, fakes, step)
    assert not any(p.requires_grad for p in game.nets["features"].parameters())
    assert all(p.requires_grad for p in game.nets["discriminator"].parameters())
    assert not {name for name in changed(before, game.nets.discriminators) if name.startswith("features")}


def test_training_moves_the_generator_towards_the_data(tmp_path):
    run_toy(tmp_path / "run", steps=300, batch_size=16, lr_g=2e-3, lr_d=2e-3, evaluate_every=100, ema_half_life=200)
    scores = [r["scores"]["distance"] for r in log(tmp_path / "run") if "scores" in r]
    assert scores[-1] < 0.3  # untrained: 0.8


def log(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


# -- what a run leaves ------------------------------------------------------------------------------------------------


def test_a_run_leaves_weights_card_log_grids_and_a_film(tmp_path):
    out = tmp_path / "run"
    weights = run_toy(out, sample_every=4, trackers="tensorboard")
    assert weights == out / "weights"
    assert Toy().load(str(weights))(seed=0).shape == (1, 3, 8, 8)
    card = (weights / "README.md").read_text()
    assert "| Steps | 12 |" in card
    assert "distance" in card
    grids = sorted((out / "samples").glob("*.png"))
    assert [p.stem for p in grids] == ["00000000", "00000004", "00000008", "00000012"]
    assert Image.open(grids[0]).tobytes() != Image.open(grids[-1]).tobytes()
    assert (out / "samples" / "film.mp4").stat().st_size > 0
    records = [r for r in log(out) if "d_real" in r]
    assert [r["step"] for r in records] == [4, 8, 12]
    assert {"d", "g", "d_fake", "d_accuracy", "images_per_second"} <= records[0].keys()
    assert list(out.glob("logs/**/events*"))


def test_checkpoints_are_limited_in_number_and_only_the_best_weights_are_kept(tmp_path):
    out = tmp_path / "run"
    run_toy(out, steps=10, checkpoint_every=2, keep=2, evaluate_every=2)
    assert sorted(p.name for p in (out / "checkpoints").iterdir()) == ["step-00000010", "step-00000010-end"]
    scores = {r["step"]: r["scores"]["distance"] for r in log(out) if "scores" in r}
    best = min(scores, key=lambda step: scores[step])
    assert f"| Steps | {best} |" in (out / "weights" / "README.md").read_text()


def test_the_average_covers_batch_norm_buffers():
    net = nn.BatchNorm2d(2)
    ema = Ema({"net": net})
    net.running_mean.fill_(4.0)  # pyright: ignore[reportOptionalMemberAccess]
    net.num_batches_tracked.fill_(7)  # pyright: ignore[reportOptionalMemberAccess]
    ema.update({"net": net}, decay=0.75)
    average = ema.networks["net"]
    assert average.running_mean.tolist() == [1.0, 1.0]  # pyright: ignore
    assert average.num_batches_tracked.item() == 7  # pyright: ignore


@pytest.mark.parametrize(("index", "factor"), [(0, 0.25), (3, 1.0), (50, 1.0), (75, 0.5), (99, 0.02)])
def test_learning_rate_warms_up_stays_and_decays(index, factor):
    assert learning_rate(TrainConfig(warmup=4, decay_from=0.5), index, index / 100) == pytest.approx(factor)


# -- interruption -----------------------------------------------------------------------------------------------------


class Interrupting(Squares):
    """Sends this process a real signal when a certain sample is read."""

    def __init__(self, sample: int, number: int):
        self.sample, self.number = sample, number

    def batch(self, samples: range) -> dict[str, torch.Tensor]:
        if self.sample in samples:
            os.kill(os.getpid(), self.number)
        return super().batch(samples)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path, number):
    settings = ToySettings(norm=True)
    run_toy(tmp_path / "straight", settings)
    config = TrainConfig(**SHORT)
    first = Trainer(Toy(settings), config, out=tmp_path / "broken")
    first.data = Interrupting(4 * 8, number)
    first.run()
    stopped = final(tmp_path / "broken")["progress"]["updates"]
    assert 0 < stopped < 12
    run_toy(tmp_path / "broken", settings, resume=True)
    same_training(tmp_path / "straight", tmp_path / "broken")
    states = [
        torch.load(checkpoints.latest(tmp_path / n) / "rank0.pt", weights_only=True)["state"]  # pyright: ignore
        for n in ("straight", "broken")
    ]
    assert states[0] == states[1] == {"seen": 48}
    kept = [
        load_file(tmp_path / n / "weights/generator/diffusion_pytorch_model.safetensors")
        for n in ("straight", "broken")
    ]
    assert_same(kept[0], kept[1])
    assert [r["step"] for r in log(tmp_path / "broken") if "d" in r] == [4, 8, 12]


def test_sigkill_in_the_middle_of_a_save_loses_nothing(tmp_path):
    """A real process, killed while it writes a checkpoint, several times; each time the next one goes on."""
    options = SHORT | {"steps": 12, "checkpoint_every": 1, "ballast": 1_000_000, "out": str(tmp_path / "killed")}
    kills = 0
    for attempt in range(20):
        resume = (tmp_path / "killed" / "run.json").exists()
        command = [sys.executable, str(HERE / "run_toy.py"), json.dumps(options | {"resume": resume})]
        process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        before = checkpoints.latest(tmp_path / "killed")
        while kills < 3 and process.poll() is None:
            if checkpoints.latest(tmp_path / "killed") != before and list(tmp_path.glob("killed/checkpoints/*.part")):
                process.kill()
                break
            time.sleep(0.0005)
        _, errors = process.communicate(timeout=120)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, errors.decode()
        kills += 1
        assert checkpoints.latest(tmp_path / "killed") is not None, f"attempt {attempt} left no whole checkpoint"
    assert kills == 3
    subprocess.run(
        [sys.executable, str(HERE / "run_toy.py"), json.dumps(options | {"out": str(tmp_path / "straight")})],
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    same_training(tmp_path / "straight", tmp_path / "killed")


def test_two_runs_cannot_share_a_folder(tmp_path):
    first = Trainer(Toy(), TrainConfig(**SHORT), out=tmp_path)
    with pytest.raises(ValueError, match="another process is training in"):
        Trainer(Toy(), TrainConfig(**SHORT), out=tmp_path)
    first.run()
    run_toy(tmp_path, steps=13, resume=True)  # released


def test_leftovers_of_a_killed_save_do_not_count_as_checkpoints(tmp_path):
    run_toy(tmp_path, steps=2)
    leftover = tmp_path / "checkpoints" / "step-00000009.part"
    leftover.mkdir()
    last = checkpoints.latest(tmp_path)
    assert last is not None
    assert last.name == "step-00000002-end"
    part = checkpoints.begin(tmp_path, "step-00000003")
    assert not leftover.exists()
    checkpoints.write(part / "common.pt", {"x": torch.ones(2)})
    assert checkpoints.latest(tmp_path) == last  # not yet whole
    checkpoints.commit(part, keep=1)
    assert [p.name for p in checkpoints.whole(tmp_path)] == ["step-00000003"]


class Worsening(Toy):
    """Each step scores worse than the one before, so that the first weights scored are the best."""

    def evaluate(self, pipeline: Any, data: Any, count: int) -> Evaluation:
        self.scored = [*getattr(self, "scored", []), 1.0 + len(getattr(self, "scored", []))]
        return Evaluation({"distance": self.scored[-1]}, "counted")


def published(out: Path) -> str:
    return next(line for line in (out / "weights" / "README.md").read_text().splitlines() if "| Steps" in line)


def test_a_longer_resumed_run_keeps_its_best_weights(tmp_path):
    plugin = Worsening()
    plugin.train(out=tmp_path, **SHORT | {"steps": 5})
    plugin.train(out=tmp_path, resume=True, **SHORT | {"steps": 10})
    assert plugin.scored == [1.0, 2.0]  # each once
    assert published(tmp_path) == "| Steps | 5 |"


def test_an_interruption_at_an_evaluation_does_not_lose_it(tmp_path):
    class Interrupted(Worsening):
        def generator_loss(self, nets: Networks, batch: Any, fakes: Any, step: Any) -> Any:
            if step.index == 3:  # during the fourth step, after which an evaluation is due
                os.kill(os.getpid(), signal.SIGTERM)
            return super().generator_loss(nets, batch, fakes, step)

    options: dict[str, Any] = SHORT | {"evaluate_every": 4, "checkpoint_every": 100}
    Trainer(Interrupted(), TrainConfig(**options), out=tmp_path).run()
    assert final(tmp_path)["progress"]["updates"] == 4
    Worsening().train(out=tmp_path, resume=True, **options)
    assert published(tmp_path) == "| Steps | 4 |"
    assert [r["step"] for r in log(tmp_path) if "scores" in r] == [4, 8, 12]


def test_without_scores_the_last_weights_are_published(tmp_path):
    run_toy(tmp_path, evaluate_count=0, evaluate_every=3)
    assert published(tmp_path) == "| Steps | 12 |"
    assert not [r for r in log(tmp_path) if "scores" in r]


def test_a_log_line_that_a_kill_cut_short_does_not_stop_resuming(tmp_path):
    run_toy(tmp_path, steps=8)
    with open(tmp_path / "log.jsonl", "a") as file:
        file.write('{"step": 8, "d": 0.')
    run_toy(tmp_path, steps=12, resume=True)
    assert [r["step"] for r in log(tmp_path) if "d" in r] == [4, 8, 12]


def test_other_networks_cannot_go_on_with_a_run(tmp_path):
    run_toy(tmp_path, steps=2)
    with pytest.raises(ValueError, match=r"made with other settings of the networks.*size mismatch"):
        run_toy(tmp_path, ToySettings(width=8), steps=4, resume=True)


def test_a_run_folder_is_never_overwritten_by_accident(tmp_path):
    run_toy(tmp_path / "run", steps=2)
    with pytest.raises(ValueError, match="already holds a run.*--resume"):
        run_toy(tmp_path / "run", steps=2)
    with pytest.raises(ValueError, match="nothing to resume"):
        run_toy(tmp_path / "nowhere", resume=True)


# -- batches ----------------------------------------------------------------------------------------------------------


def test_accumulated_micro_batches_equal_one_large_batch(tmp_path):
    run_toy(tmp_path / "large", batch_size=8)
    run_toy(tmp_path / "small", batch_size=2, accumulate=4)
    same_training(tmp_path / "large", tmp_path / "small", tolerance=1e-4)


def test_several_discriminator_updates_draw_fresh_batches(tmp_path):
    run_toy(tmp_path / "run", steps=5, d_updates=3)
    checkpoint = final(tmp_path / "run")
    assert checkpoint["progress"]["images"] == 5 * 3 * 4
    g, d = (checkpoint["optimizers"][name]["state"][0]["step"].item() for name in ("g", "d"))
    assert (g, d) == (5, 15)


def two_processes(out: Path, **options: Any) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    arguments = json.dumps(SHORT | options | {"out": str(out)})
    environment = ENVIRONMENT | {"ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [*command, str(HERE / "run_toy.py"), arguments], env=environment, capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()
    assert final(out)["processes"] == 2  # each checkpoint also compares a hash of every weight between processes


def test_two_processes_see_what_one_with_the_whole_batch_sees(tmp_path):
    """Adam divides by the gradient's size, so that rounding shows: weights agree to 1e-4 after 12 steps."""
    accumulate = 2
    two_processes(tmp_path / "two", accumulate=accumulate, steps=6)
    two_processes(tmp_path / "two", accumulate=accumulate, resume=True)
    run_toy(tmp_path / "one", batch_size=2 * 4 * accumulate)
    left, right = final(tmp_path / "one"), final(tmp_path / "two")
    assert left["progress"]["images"] == right["progress"]["images"]
    assert_same(left["networks"], right["networks"], tolerance=1e-4)


def test_machines_with_folders_of_their_own_are_refused_before_training(tmp_path):
    """Two nodes of one process each, as on two machines; `runs/toy` is not the same folder for both."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc_per_node", "1"]
    command += ["--master_addr", "127.0.0.1", "--master_port", str(port)]
    arguments = [str(HERE / "run_toy.py"), json.dumps(SHORT | {"out": "runs/toy", "steps": 2})]
    nodes = []
    for node in range(2):
        (tmp_path / str(node)).mkdir()
        whole = [*command, "--node_rank", str(node), *arguments]
        environment = ENVIRONMENT | {"ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(HERE.parent)}
        nodes.append(
            subprocess.Popen(whole, cwd=tmp_path / str(node), env=environment, stderr=subprocess.PIPE, text=True)
        )
    told = [node.communicate(timeout=120)[1] for node in nodes]
    assert all(node.returncode for node in nodes)
    assert all(
        "1 of 2 processes see another folder of that name; expected one that all machines share" in t for t in told
    )
    assert not list(tmp_path.rglob("run.json"))


def test_processes_that_would_not_synchronise_are_refused(tmp_path):
    """Without ACCELERATE_USE_CPU, Accelerate takes each process for the only one."""
    environment = {k: v for k, v in ENVIRONMENT.items() if k != "ACCELERATE_USE_CPU"} | {"WORLD_SIZE": "2"}
    arguments = json.dumps(SHORT | {"out": str(tmp_path / "run")})
    command = [sys.executable, str(HERE / "run_toy.py"), arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert "2 processes were started but would not synchronise: set ACCELERATE_USE_CPU=true" in done.stderr
    assert not (tmp_path / "run").exists()


# -- stopping ---------------------------------------------------------------------------------------------------------


def test_it_stops_at_equilibrium_when_d_cannot_tell_and_the_score_stalls(tmp_path, capsys):
    # Nothing learns, so the score stalls; a discriminator without weights is undecided.
    class Undecided(Toy):
        def networks(self) -> Networks:
            nets = super().networks()
            for p in nets["discriminator"].parameters():
                nn.init.zeros_(p)
            return nets

    options = SHORT | {"steps": 200, "lr_g": 0.0, "lr_d": 0.0, "log_every": 50, "evaluate_every": 2}
    Undecided().train(out=tmp_path / "run", equilibrium=0.05, patience=3, **options)
    assert final(tmp_path / "run")["progress"]["updates"] == 118  # its mean accuracy comes near enough at 114
    assert "equilibrium" in capsys.readouterr().out
    Undecided().train(out=tmp_path / "off", patience=3, **options | {"steps": 130})
    assert final(tmp_path / "off")["progress"]["updates"] == 130


def test_it_stops_when_time_is_up(tmp_path, capsys):
    run_toy(tmp_path / "run", steps=100_000, hours=1e-4)
    assert final(tmp_path / "run")["progress"]["updates"] < 100_000
    assert "time is up" in capsys.readouterr().out


def test_a_run_that_diverges_says_so(tmp_path):
    with pytest.raises(FloatingPointError, match="not finite at step 4: lower the learning rate"):
        run_toy(tmp_path / "run", ToySettings(loss="least-squares"), lr_g=1e30, lr_d=1e30)


class Staged(Toy):
    def stages(self) -> tuple[Stage, ...]:
        return (Stage("alone", 0.5, discriminators=()), Stage("together", 0.5))

    def sample(self, nets: Networks, fixed: Any) -> torch.Tensor:
        self.drawn = [*getattr(self, "drawn", []), fixed.step.stage]
        return super().sample(nets, fixed)


def test_stages_train_only_their_own_networks_and_resume_in_the_middle(tmp_path):
    plugin = Staged()
    plugin.train(out=tmp_path / "straight", **SHORT | {"sample_every": 6, "evaluate_count": 0})
    assert plugin.drawn[:2] == ["alone", "alone"]
    assert plugin.drawn[-1] == "together"
    moves = [torch.load(p / "common.pt", weights_only=True) for p in checkpoints.whole(tmp_path / "straight")]
    assert moves[-1]["progress"] | {"hours": 0} == moves[-1]["progress"] | {"hours": 0, "stage": 1, "index": 6}
    for steps in (4, 9):
        run = Trainer(Staged(), TrainConfig(**SHORT), out=tmp_path / "broken", resume=steps > 4)
        run.data = Interrupting(4 * steps, signal.SIGTERM)
        start = bits(run.state.nets.discriminators)
        run.run()
        assert bool(changed(start, run.state.nets.discriminators)) == (steps > 6)
    Staged().train(out=tmp_path / "broken", resume=True, **SHORT)
    same_training(tmp_path / "straight", tmp_path / "broken")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("steps", 0, "steps: expected a whole number of at least 1, got 0"),
        ("precision", "fp8", "expected auto, bf16 or fp32, got 'fp8'"),
        ("decay_from", 2.0, "decay_from: expected a number from 0 to 1, got 2.0"),
        ("equilibrium", 0.7, "equilibrium: expected a number from 0 to 0.49"),
        ("equilibrium", 0.1, "equilibrium: needs evaluate_every"),
        ("batch_size", 2.5, "batch_size: expected a whole number of at least 1, got 2.5"),
        ("lr_g", -1.0, "lr_g: expected a number of at least 0, got -1.0"),
        ("lr_g", float("nan"), "lr_g: expected a number"),
    ],
)
def test_bad_options_say_what_was_expected(option, value, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**{option: value})


def test_sharded_optimisers_are_refused(tmp_path):
    """FSDP splits the parameters that the halves freeze: said at once, before anything is loaded."""
    code = "from toy import Toy; Toy().train(out='x', steps=1)"
    environment = ENVIRONMENT | {"ACCELERATE_USE_FSDP": "true"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert "FSDP is not supported" in done.stderr


def test_checkpoints_of_another_plugin_are_refused(tmp_path):
    class Other(Toy):
        slug = "other"

    run_toy(tmp_path / "run", steps=2)
    with pytest.raises(ValueError, match="checkpoint of 'toy'.*expected 'other'"):
        Trainer(Other(), TrainConfig(**SHORT), out=tmp_path / "run", resume=True)


def test_a_score_that_evaluate_does_not_give_is_an_error(tmp_path):
    class Misnamed(Toy):
        score = {"kid_x1000": 1.0}

    with pytest.raises(ValueError, match="weights are chosen by 'kid_x1000', but `evaluate` gave distance"):
        Misnamed().train(out=tmp_path / "run", **(SHORT | {"steps": 2, "evaluate_count": 4}))


def test_schedules_and_stages_follow_the_clock(tmp_path):
    """With `hours`, the last stage is reached and rates fall to their end however few steps there was time for."""
    run = Trainer(Staged(), config(steps=10_000, hours=1.0), out=tmp_path / "run")
    assert run.position() == 0
    run.progress.hours = 0.25
    assert run.position() == pytest.approx(0.5)
    run.progress.stage, run.progress.hours = 1, 0.9
    assert run.position() == pytest.approx(0.8)
    assert learning_rate(TrainConfig(decay_from=0.5), 10, 0.8) == pytest.approx(0.4)


def test_an_interrupted_run_can_be_tried(tmp_path):
    run = Trainer(Toy(), config(steps=100), out=tmp_path / "run")
    run.data = Interrupting(8, signal.SIGTERM)
    weights = run.run()
    assert Toy().load(str(weights))(0, 1).shape == (1, 3, 8, 8)


def test_a_run_begins_with_the_generators_of_weights(tmp_path):
    first = run_toy(tmp_path / "first", steps=3)
    weights = tmp_path / "first" / "weights"
    run = Trainer(Toy(), config(init=str(weights)), out=tmp_path / "second")
    loaded = Toy().load(str(weights)).generator.state_dict()
    assert all(torch.equal(p, loaded[name]) for name, p in run.state.nets["generator"].state_dict().items())
    with pytest.raises(ValueError, match="init: .* was made with other settings of 'generator'"):
        Trainer(Toy(ToySettings(width=8)), config(init=str(weights)), out=tmp_path / "third")
    del first


def test_a_stage_may_have_its_own_batch_size(tmp_path):
    class Small(Toy):
        def stages(self) -> tuple[Stage, ...]:
            return (Stage("first", 0.5, batch_size=2), Stage("second", 0.5))

    seen: list[int] = []

    class Counting(Squares):
        def batch(self, samples: range) -> dict[str, Tensor]:
            seen.append(len(samples))
            return super().batch(samples)

    run = Trainer(Small(), config(steps=4, batch_size=6), out=tmp_path / "run")
    run.data = Counting()
    run.run()
    assert run.progress.images == 2 * 2 + 2 * 6
    assert {2, 6} == set(seen)


def test_a_stage_that_names_no_network_is_an_error(tmp_path):
    class Mistaken(Toy):
        def stages(self) -> tuple[Stage, ...]:
            return (Stage("gan", generators=("genrator",)),)

    with pytest.raises(ValueError, match="stage 'gan' names 'genrator', which is no network"):
        Trainer(Mistaken(), config(), out=tmp_path / "run")
