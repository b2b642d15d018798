"""Does a plugin keep the contract? Each check is a function that raises, or asserts, what is wrong.

`python -m gan_zoo check NAME` prints them, and tests run them on every plugin. They use the built-in data, networks
that nobody trained and a handful of pictures: seconds, no network.
"""

from __future__ import annotations

import inspect
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from gan_zoo import checkpoints, hub, registry
from gan_zoo.duel import Duel, adam, seeded_step
from gan_zoo.errors import one_line, with_kind
from gan_zoo.plugin import Data, Film, Fixed, ImageFile, Json, Networks, Plugin, Step, Task

BATCH = 4
MANY, FEW = 2048, 16  # channels in and out of a 1x1 convolution on a 1x1 map: beyond these its backward is unsafe
TOLERANCE = 1  # of 255: how far two runs of the same call may differ


@dataclass
class Bench:
    """A plugin under check, and what its checks share."""

    plugin: Plugin
    folder: Path  # for weights and pictures

    @cached_property
    def nets(self) -> Networks:
        torch.manual_seed(0)
        return self.plugin.networks()

    @cached_property
    def training(self) -> Data:
        return self.plugin.data(None, "train", 0)

    @cached_property
    def weights(self) -> Path:
        """Networks that nobody trained, saved as a weights folder."""
        pipeline = self.plugin.pipeline(self.nets)
        return hub.save(pipeline, self.folder / "weights", plugin=self.plugin.slug, preset="check", card="")

    def step(self, stage: str = "gan", **state: Any) -> Step:
        return seeded_step([0], BATCH, stage=stage, state=dict(state))


# ---------------------------------------------------------------------------------------------------------------------
# The checks, in the order in which they build on each other


def check_class(bench: Bench) -> None:
    """The class says what it is, and every task what it takes, within bounds that strangers cannot leave."""
    registry.validate(type(bench.plugin))
    for name, task in type(bench.plugin).tasks().items():
        for p in task.parameters:
            known = p.choices is not None or p.type in (int, float, bool, str, Json, ImageFile)
            assert known, f"task {name}: {p.name!r} is a {p.type}, which no form, flag or endpoint can ask for"
            if p.type in (int, float):
                ends = p.arg.minimum, p.maximum("page")
                assert None not in ends, (
                    f"task {name}: {p.name!r} has no minimum and maximum: a stranger may ask for 10**9"
                )


def check_networks(bench: Bench) -> None:
    """Networks that learn are diffusers models, and are built again from their config."""
    from diffusers import ConfigMixin, ModelMixin

    for name, network in bench.nets.items():
        if not any(p.requires_grad for p in network.parameters()):
            continue  # a frozen helper is made anew each time
        assert isinstance(network, ModelMixin) and isinstance(network, ConfigMixin), (
            f"{name} is a {type(network).__name__}, not a diffusers ModelMixin and ConfigMixin"
        )
        both = sorted(set(network.config) & {name for name, _ in network.named_children()})
        assert not both, f"{name} has a submodule named like its config argument {both[:1]}: one hides the other"
        again: Any = type(network).from_config(network.config)
        before, after = ({k: t.shape for k, t in n.state_dict().items()} for n in (network, again))
        assert before == after, f"{name} built from its own config has other tensors: is every argument registered?"


def check_data(bench: Bench) -> None:
    """Built-in data: both splits, tensors of as many rows as asked for, the same whenever asked."""
    for split, data in (("train", bench.training), ("validation", bench.plugin.data(None, "validation", 0))):
        assert len(data) > 0, f"the split {split} is empty"
        whole, part = data.batch(range(BATCH)), data.batch(range(BATCH - 2, BATCH))
        assert whole, f"a batch of {split} has no tensors"
        for name, tensor in whole.items():
            assert isinstance(tensor, Tensor) and len(tensor) == BATCH, (
                f"{split}: {name!r} is no tensor of {BATCH} rows"
            )
            assert torch.equal(tensor[-2:], part[name]), f"{split}: {name!r} of a sample depends on its batch"


def check_halves(bench: Bench) -> None:
    """D's half leaves G's parameters bit for bit alone, G's half D's; what learns changes, what is frozen never."""
    plugin, nets = bench.plugin, bench.nets
    learn = {name: [p for p in network.parameters() if p.requires_grad] for name, network in nets.items()}
    batch = bench.training.batch(range(BATCH))
    _refuse_corrupting(nets)
    for stage in plugin.stages():
        chosen = {
            "G": _chosen(nets.generators, stage.generators, learn),
            "D": _chosen(nets.discriminators, stage.discriminators, learn),
        }
        with _only(learn, chosen["G"] + chosen["D"]):
            optimizers = {
                half: adam([nets[name] for name in names], 1e-3, (0.9, 0.999)) for half, names in chosen.items()
            }
            wrapped = nets.map(lambda name, network: _Wrapped(network, name))
            duel = Duel(plugin, nets, optimizers["G"], optimizers["D"], parallel=wrapped)
            step = bench.step(stage.name)
            fakes = duel.generate(batch, step)
            for half, run in (("D", duel.d_step), ("G", duel.g_step)):
                if optimizers[half] is None:
                    continue
                before = _parameters(nets)
                losses = run(batch, fakes, step)
                assert losses.terms, f"the {half} half has no terms"
                for term, value in losses.terms.items():
                    assert torch.isfinite(value), f"the {half} half's term {term!r} is {float(value)}"
                changed = {name for name, p in _parameters(nets).items() if not torch.equal(p, before[name])}
                owners = {name.split("/")[0] for name in changed}
                assert owners <= set(chosen[half]), f"the {half} half changed {sorted(owners - set(chosen[half]))}"
                idle = set(chosen[half]) - owners
                assert not idle, f"the {half} half of stage {stage.name!r} does not change {sorted(idle)}"
            _check_state(step.state, bench.folder / "state.pt")


def _check_state(state: dict[str, Any], path: Path) -> None:
    """What a plugin keeps between steps comes back from a checkpoint as it was."""
    checkpoints.check_readable(state, "step.state")
    checkpoints.write(path, state)
    assert _alike(state, checkpoints.read(path)), "step.state comes back from a checkpoint as something else"


def check_sample(bench: Bench) -> None:
    """The progress grid: pictures (N, 3, H, W) in [-1, 1], the same from the same noise."""
    batch = bench.plugin.data(None, "validation", 0).batch(range(BATCH))
    for _, network in bench.nets.items():
        network.eval()  # as the trainer draws it: dropout is no fault
    with torch.no_grad():
        first, second = (bench.plugin.sample(bench.nets, Fixed(batch, bench.step())) for _ in range(2))
    assert first.ndim == 4 and first.shape[1] == 3, f"sample gave {tuple(first.shape)}, expected (N, 3, H, W)"
    assert first.abs().max() <= 1.001, f"sample gave values up to {first.abs().max():.3g}, expected [-1, 1]"
    assert torch.equal(first, second), "sample gave other pictures from the same noise: draw it from the step"


def check_weights(bench: Bench) -> None:
    """Saved and loaded, every network of the pipeline has its tensors back, to the bit of half precision."""
    pipeline = bench.plugin.pipeline(bench.nets)
    loaded = bench.plugin.load(str(bench.weights))
    assert type(loaded) is type(pipeline), f"load gave a {type(loaded).__name__}, not a {type(pipeline).__name__}"
    for name, network in pipeline.components.items():
        if isinstance(network, nn.Module):
            again = getattr(loaded, name).state_dict()
            for key, tensor in network.state_dict().items():
                expected = tensor.half().float() if tensor.is_floating_point() else tensor
                assert torch.equal(again[key].cpu(), expected.cpu()), f"{name}: {key} changed when saved and loaded"


def check_tasks(bench: Bench) -> None:
    """Each task that can be called with its defaults and drawn pictures gives what it declares, twice the same."""
    for name, task in type(bench.plugin).tasks().items():
        arguments = _arguments(bench, task)
        if arguments is None:
            continue
        first, second = (_call(bench, task, arguments) for _ in range(2))
        for output, kind in task.outputs.items():
            a, b = (
                getattr(result, output) if list(task.outputs) != ["result"] else result for result in (first, second)
            )
            assert _is_a(a, kind), f"task {name}: {output} is a {type(a).__name__}, declared {kind}"
            assert _alike(a, b), f"task {name} gave another {output} for the same arguments"


def check_counts(bench: Bench) -> None:
    """Where a task takes a count, picture i is the same however many are asked for."""
    for name, task in type(bench.plugin).tasks().items():
        arguments = _arguments(bench, task)
        if arguments is None or "count" not in arguments or list(task.outputs.values()) != [list[Image.Image]]:
            continue
        few, many = (_call(bench, task, {**arguments, "count": n}) for n in (2, 5))
        assert (len(few), len(many)) == (2, 5), f"task {name} gave {len(few)} and {len(many)} pictures for 2 and 5"
        assert _alike(few, many[:2]), f"task {name}: the first pictures depend on how many are asked for"


CHECKS: tuple[Callable[[Bench], None], ...] = (
    check_class,
    check_networks,
    check_data,
    check_halves,
    check_sample,
    check_weights,
    check_tasks,
    check_counts,
)


def run(plugin: Plugin) -> Iterator[tuple[str, str | None]]:
    """Each check's summary, and None or, in one line, what is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(type(plugin)(plugin.settings), Path(folder))  # loads nothing into the one that is in use
        for check in CHECKS:
            reason = None
            try:
                check(bench)
            except Exception as error:  # whatever a plugin does, the other checks still tell something
                reason = _reason(error, Path(inspect.getfile(type(plugin))).parent)
            yield (check.__doc__ or check.__name__).splitlines()[0].rstrip("."), reason


# ---------------------------------------------------------------------------------------------------------------------
# Their tools


def _call(bench: Bench, task: Task, arguments: dict[str, Any]) -> Any:
    """What a task gives; what it ends with, if it streams."""
    return task.last(bench.plugin.infer(task.name, str(bench.weights) if task.needs_weights else None, **arguments))


class _Wrapped(nn.Module):
    """A network as it is on several processes: behind a wrapper that averages gradients and has `forward` alone."""

    def __init__(self, network: nn.Module, name: str):
        super().__init__()
        self.module, self.name = network, name  # `module`, as PyTorch's wrapper calls it

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            raise AssertionError(
                f"{self.name!r} is used by its {name!r}: while it learns, call it as a function and by nothing else, "
                "since on several processes it is wrapped"
            ) from None


def _refuse_corrupting(nets: Networks) -> None:
    """From now on, a convolution that corrupts the heap on processors with AMX (torch 2.13, bfloat16, its backward:
    1x1, on a map of 1x1, many channels to few) is refused by name before it runs.
    """

    def look(path: str) -> Callable[..., None]:
        def refuse(conv: nn.Conv2d, inputs: tuple[Any, ...]) -> None:
            small = conv.kernel_size == (1, 1) and inputs[0].shape[2:] == (1, 1)
            assert not (small and conv.in_channels > MANY and conv.out_channels < FEW), (
                f"{path} is a 1x1 convolution of {conv.in_channels} to {conv.out_channels} channels on a map of 1x1, "
                "which corrupts memory in bfloat16 on processors with AMX: use nn.Linear"
            )

        return refuse

    for name, network in nets.items():
        for path, module in network.named_modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_pre_hook(look(f"{name}.{path}"))


def _reason(error: Exception, folder: Path) -> str:
    """One line for what a check found; of an error inside the plugin's own code, with the place in it."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(folder)]
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    if not isinstance(error, AssertionError):
        return with_kind(error) + place
    return (one_line(error) if str(error).strip() else "an assertion failed") + place


def _chosen(group: dict[str, nn.Module], names: tuple[str, ...] | None, learn: dict[str, list]) -> list[str]:
    return [name for name in group if learn[name] and (names is None or name in names)]


@contextmanager
def _only(learn: dict[str, list[nn.Parameter]], names: list[str]) -> Iterator[None]:
    """Inside, only these networks learn, as in a stage of a run."""
    for name, parameters in learn.items():
        for p in parameters:
            p.requires_grad_(name in names)
    yield
    for parameters in learn.values():
        for p in parameters:
            p.requires_grad_(True)


def _parameters(nets: Networks) -> dict[str, Tensor]:
    return {f"{name}/{k}": p.detach().clone() for name, network in nets.items() for k, p in network.named_parameters()}


def _arguments(bench: Bench, task: Task) -> dict[str, Any] | None:
    """Small arguments for a task: the least count, its first example, else noise for each picture.

    None if it needs a text and has no example.
    """
    examples = bench.plugin.examples(task.name)
    arguments: dict[str, Any] = dict(examples[0]) if examples else {}
    if arguments.pop("preset", None):  # made for weights that are not on the bench: only its pictures fit
        arguments = {p.name: arguments[p.name] for p in task.parameters if p.type is ImageFile and p.name in arguments}
    for parameter in task.parameters:
        if parameter.name in arguments:
            continue
        if parameter.type is ImageFile:
            path = bench.folder / f"{parameter.name}.png"
            noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
            Image.fromarray(noise).resize((96, 128)).save(path)
            arguments[parameter.name] = str(path)
        elif parameter.name in ("count", "frames", "moves"):
            arguments[parameter.name] = max(2, int(parameter.arg.minimum or 0))
        elif parameter.required and parameter.type in (str, Json):
            return None
        elif parameter.required:
            low = parameter.arg.minimum or 0
            arguments[parameter.name] = parameter.choices[0] if parameter.choices else parameter.type(low)
    return arguments


def _is_a(value: Any, kind: Any) -> bool:
    if kind == list[Image.Image]:
        return isinstance(value, list) and all(isinstance(picture, Image.Image) for picture in value)
    return isinstance(value, getattr(kind, "__origin__", kind))


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, Image.Image):
        same = a.size == b.size and a.mode == b.mode
        return same and int(np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16)).max(initial=0)) <= TOLERANCE
    if isinstance(a, Film):
        return a.fps == b.fps and _alike(a.frames, b.frames)
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_alike(value, b[name]) for name, value in a.items())
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_alike, a, b))
    return a == b
