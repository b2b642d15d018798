"""The Gradio components of a task's arguments and results."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_origin

import gradio as gr
from gradio.data_classes import ImageData
from PIL import Image
from pydantic import ValidationError

from gan_zoo import images
from gan_zoo.plugin import Film, ImageFile, Parameter, Text
from gan_zoo.ui.words import Words


class PictureData(ImageData):
    """An uploaded file. Anything else that a client sends is refused with a reason, not with a validation report."""

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> PictureData:
        try:
            return super().model_validate(obj, **options)
        except ValidationError:
            raise gr.Error(f"{images.EXPECTED}, uploaded as a file", print_exception=False) from None


def input_component(words: Words, parameter: Parameter, hidden: bool = False) -> Any:
    """The component of a task's argument; hidden, it is there for callers and for what stands in for it.

    Values reach `Parameter.check` just as they were sent: components would round, clip or refuse each in its own way.
    """
    arg, kind = parameter.arg, parameter.type
    properties: dict[str, Any] = {"label": arg.label, "value": None if parameter.required else parameter.default}
    if hidden:
        properties["visible"] = "hidden"
    if kind is ImageFile:
        return _picture_input(words, parameter, properties)
    if arg.info is not None:
        properties["info"] = arg.info
    if arg.component is not None:
        component = getattr(gr, arg.component)
    elif parameter.choices is not None:
        component = gr.Dropdown
    elif kind is bool:
        component = gr.Checkbox
    elif kind in (int, float):
        component = gr.Number if arg.minimum is None or arg.maximum is None else gr.Slider
    else:
        component = gr.Textbox
    if parameter.choices is not None:
        properties["choices"] = list(zip(arg.names, parameter.choices) if arg.names else parameter.choices)
    if component is gr.Slider:
        properties |= {"minimum": arg.minimum, "maximum": arg.maximum}
        properties["step"] = arg.step or (1 if kind is int else 0.01)
    if component is gr.Number:
        properties |= {"precision": 0 if kind is int else None, "step": arg.step or 1}
    made = words.make(component, **properties)
    made.preprocess = lambda payload: payload
    if arg.example is not None:
        made.example_payload = made.example_value = made.example_inputs = lambda: arg.example
    return made


PHOTO = {"path": "photo.png", "meta": {"_type": "gradio.FileData"}}  # a caller's own, in the snippets of the API page
DROP = Text("Drop a picture here, or click to choose one", "Suelta aquí una imagen, o haz clic para elegirla")


def _picture_input(words: Words, parameter: Parameter, properties: dict[str, Any]) -> gr.Image:
    """A picture arrives as the path of an uploaded file, unopened: `images.read_image` alone opens it."""
    made = words.make(
        gr.Image,
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard"],
        placeholder=DROP,
        elem_classes="zoo-picture",
        **properties,
    )
    made.data_model = PictureData
    made.preprocess = lambda payload: payload.path if payload is not None else None
    made.example_payload = made.example_value = lambda: dict(PHOTO)

    async def only_uploads(path: str | Path | None) -> str | None:
        if path is not None and str(path).startswith(("http:", "https:")):  # a download would have no bounds
            raise gr.Error(f"{parameter.name}: expected an uploaded file, not an address", print_exception=False)
        return await gr.Image.async_move_resource_to_block_cache(made, path)

    made.async_move_resource_to_block_cache = only_uploads
    return made


RESULT = Text("Result", "Resultado")


def output_component(words: Words, name: str, kind: Any, hidden: bool = False) -> Any:
    """The component that shows a result of this type; hidden, it is there for callers and for what stands in for it."""
    alone = name == "result"  # a single result needs no name over it
    label = RESULT if alone else name.replace("_", " ").capitalize()
    common = {"label": label, "show_label": not alone, "elem_classes": "zoo-result"}
    if hidden:
        common["visible"] = "hidden"
    if get_origin(kind) is list:
        return words.make(
            gr.Gallery, format="png", columns=4, height="auto", object_fit="contain", interactive=False,
            buttons=["download", "fullscreen"], **common,
        )  # fmt: skip
    if kind is Image.Image:
        return words.make(gr.Image, format="png", interactive=False, buttons=["download", "fullscreen"], **common)
    if kind is Film:
        return words.make(
            gr.Video,
            format="mp4",
            height=384,
            autoplay=True,
            loop=True,
            interactive=False,
            buttons=["download"],
            **common,
        )
    if kind is dict:
        return words.make(gr.JSON, **common)
    return words.make(gr.Textbox, interactive=False, **common)
