"""The contract itself: tasks read from signatures, arguments checked, presets resolved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

import pytest
import torch
from PIL import Image
from toy import TITLE, Toy

from gan_zoo import hub, registry, ui
from gan_zoo.plugin import Arg, Film, ImageFile, Losses, Preset, Step, task


class Two(NamedTuple):
    coarse: Image.Image
    film: Film


class Drawing(Toy):
    @task(TITLE, TITLE)
    def draw(
        self,
        pipeline,
        *,
        image: Annotated[ImageFile, Arg(TITLE)],
        width: Annotated[int, Arg(TITLE, minimum=1, maximum=8, cli_maximum=64)] = 4,
        strength: Annotated[float, Arg(TITLE, minimum=0.0, maximum=1.0)] = 0.5,
        mirror: Annotated[bool, Arg(TITLE)] = False,
        style: Annotated[Literal["line", "dot"], Arg(TITLE)] = "line",
    ) -> Two:
        raise AssertionError("not called here")


DRAW = Drawing.tasks()["draw"]


def test_tasks_are_read_from_signatures_in_the_order_of_the_class():
    assert list(Drawing.tasks()) == ["generate", "draw"]
    assert [p.name for p in DRAW.parameters] == ["image", "width", "strength", "mirror", "style"]
    assert dict(DRAW.outputs) == {"coarse": Image.Image, "film": Film}
    assert dict(Toy.tasks()["generate"].outputs) == {"result": list[Image.Image]}
    assert DRAW.parameters[0].required
    assert DRAW.parameters[4].choices == ("line", "dot")


def test_defaults_complete_the_arguments():
    checked = DRAW.check({"image": "a.png", "width": 5.0})
    assert checked == {"image": "a.png", "width": 5, "strength": 0.5, "mirror": False, "style": "line"}
    assert isinstance(checked["width"], int)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "draw needs the argument 'image'"),
        ({"image": ""}, "image: expected a picture file, got ''"),
        ({"image": "a", "colour": 1}, "no argument 'colour'; it takes image, width, strength, mirror, style"),
        ({"image": "a", "width": 0}, "width: expected a whole number from 1 to 64, got 0"),
        ({"image": "a", "width": 2.5}, "width: expected a whole number from 1 to 64, got 2.5"),
        ({"image": "a", "width": "3"}, "width: expected a whole number from 1 to 64, got '3'"),
        ({"image": "a", "width": True}, "width: expected a whole number"),
        ({"image": "a", "width": float("inf")}, "width: expected a whole number"),
        ({"image": "a", "strength": float("nan")}, "strength: expected a number from 0 to 1, got nan"),
        ({"image": "a", "mirror": 1}, "mirror: expected true or false, got 1"),
        ({"image": "a", "style": "blot"}, "style: 'blot' is not one of line, dot"),
    ],
)
def test_bad_arguments_say_what_was_expected(arguments, message):
    with pytest.raises(ValueError, match="^" + message.replace("(", r"\(") if message[0] != "n" else message):
        DRAW.check(arguments)


def test_strangers_have_narrower_bounds_than_the_owner():
    assert DRAW.check({"image": "a", "width": 64}, "cli")["width"] == 64
    with pytest.raises(ValueError, match="from 1 to 8, got 64"):
        DRAW.check({"image": "a", "width": 64}, "page")


def test_an_argument_without_annotation_is_refused():
    class Sloppy(Toy):
        @task(TITLE, TITLE)
        def draw(self, pipeline, *, size: int = 3) -> Film:
            raise AssertionError("not called here")

    with pytest.raises(TypeError, match="draw: annotate 'size' as Annotated"):
        Sloppy.tasks()


def test_infer_runs_the_first_task_and_names_what_it_does_not_know(tmp_path):
    plugin = Toy()
    torch.manual_seed(0)
    weights = hub.save(plugin.pipeline(plugin.networks()), tmp_path / "w", plugin="toy", preset="squares", card="")
    assert len(plugin.infer(preset=str(weights), count=3)) == 3
    with pytest.raises(ValueError, match="toy has no task 'paint'; there are: generate"):
        plugin.infer("paint")
    with pytest.raises(ValueError, match="toy has no preset 'circles'; there are: squares"):
        plugin.infer(preset="circles")


class Clock(Toy):
    """No presets, and a task that needs no weights and streams."""

    presets = ()

    @task(TITLE, TITLE, needs_weights=False)
    def count(self, *, to: Annotated[int, Arg(TITLE, minimum=1, maximum=9)] = 3) -> Iterator[Counted]:
        for i in range(to):
            yield Counted(Image.new("RGB", (4, 4)), {"i": i}, Film([Image.new("RGB", (4, 4))], 1) if i == 2 else None)


class Counted(NamedTuple):
    picture: Image.Image
    told: dict
    film: Film | None


def test_a_task_may_need_no_weights_and_may_stream():
    count = Clock.tasks()["count"]
    assert count.streams and not count.needs_weights and [p.name for p in count.parameters] == ["to"]
    assert count.outputs == {"picture": Image.Image, "told": dict, "film": Film}
    looks = list(Clock().infer("count", to=3))
    assert [look.told["i"] for look in looks] == [0, 1, 2] and looks[0].film is None and looks[2].film is not None
    made = json.loads(looks[1].picture.info["gan_zoo"])
    assert made == {"plugin": "toy", "task": "count", "arguments": {"to": 3}}
    with pytest.raises(ValueError, match="count needs no weights, so it takes no preset; got 'squares'"):
        Clock().infer("count", "squares")


def test_a_plugin_without_presets_has_a_page():
    page = ui.build(registry.Registry({"toy": Clock()}))
    told = page.get_api_info()["named_endpoints"]
    assert [p["parameter_name"] for p in told["/toy_count"]["parameters"]] == ["to"]
    assert "preset" not in [p["parameter_name"] for p in told["/toy_generate"]["parameters"]]
    assert not [block for block in page.blocks.values() if getattr(block, "label", "") == "Trained model"]


def test_a_stranger_cannot_name_folders_of_the_machine(tmp_path):
    plugin = Toy()
    weights = hub.save(plugin.pipeline(plugin.networks()), tmp_path / "w", plugin="toy", preset="squares", card="")
    with pytest.raises(ValueError, match="toy has no preset"):
        plugin.infer(preset=str(weights), bounds="page")


def test_the_default_preset_is_the_first_open_one():
    class Mixed(Toy):
        presets = (Preset("a", TITLE, "research", TITLE), Preset("b", TITLE, "open", TITLE))

    assert Mixed().preset().name == "b"
    Mixed.presets = Mixed.presets[:1]
    assert Mixed().preset().name == "a"
    Mixed.presets = ()
    with pytest.raises(ValueError, match="toy has no presets yet"):
        Mixed().preset()


def test_losses_sum_their_terms_in_float32():
    total = Losses({"a": torch.tensor(1.5, dtype=torch.bfloat16), "b": torch.tensor(2.0)}).total
    assert total.dtype == torch.float32
    assert total.item() == 3.5


def test_processes_share_the_global_batchs_random_numbers():
    def draws(rows: slice) -> torch.Tensor:
        return Step(0, "gan", 0.0, rows, 6, torch.Generator().manual_seed(1), torch.device("cpu")).randn(2)

    assert torch.equal(torch.cat([draws(slice(0, 2)), draws(slice(2, 6))]), draws(slice(0, 6)))


def test_a_plugin_without_weights_says_so_in_place_of_its_results() -> None:
    """A GAN just begun by `new`: its button waits, and the panel says what to do."""
    import gradio as gr

    from gan_zoo import ui
    from gan_zoo.template import plugin as Template

    with gr.Blocks() as page:
        drawn = ui.Page(Template(), ui.Words())
        drawn.standard()
        drawn.complete()
    notices = [
        b.value for b in page.blocks.values() if isinstance(b, gr.HTML) and "python -m gan_zoo train" in str(b.value)
    ]
    assert len(notices) == 1 and "template has no trained weights yet" in notices[0]
    buttons = [b for b in page.blocks.values() if isinstance(b, gr.Button) and "zoo-run" in (b.elem_classes or [])]
    assert [button.interactive for button in buttons] == [False]
